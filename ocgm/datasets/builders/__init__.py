"""Base classes and file formats that dataset builders share."""
