"""What the stage Remember is made of: records, histories, turns, background responses, pages, compaction."""
