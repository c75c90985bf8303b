"""Backups of the database: one moment of all collections in files, and back into an empty database.

The driver does it rather than ``mongodump``, which is not in the gateway's image and cannot read one moment without
stopping writes or replaying an oplog. The files are its format, though (BSON after BSON, compressed with gzip), so that
``bsondump`` and ``mongorestore`` read them, too. Indexes and validators are not in them: the worker makes those of the
version that runs (`data_access.mongo.schema`).
"""
