"""Imports: files of customers of any size, as resources that can be watched, stopped and looked up."""
