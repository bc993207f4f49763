"""Where state is kept between calls: in memory, in a file, or on a server that many processes share."""
