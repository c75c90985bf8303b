"""Files of customers, read in one way by both tiers: what is stored is what a model is fitted on.

`reader.CustomerFile` turns CSV, NDJSON or Parquet into batches of checked columns (`rows.Rows`). `header` finds the
columns of the data dictionary, `cells` reads numbers and words for missing ones, `rows` refuses what breaks a rule.
The rules are listed in ``data/README.md``.
"""
