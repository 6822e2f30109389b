"""Tables from anyone's CSV or Parquet file and a specification that says what its columns mean."""
