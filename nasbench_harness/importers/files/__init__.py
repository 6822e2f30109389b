"""Tables from anyone's CSV or Parquet file and a specification of its columns."""
