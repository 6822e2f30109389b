"""Tables from files, official archives and the objects of official packages."""
