"""Files of customers in CSV, NDJSON and Parquet: readers for imports, writers for exports."""
