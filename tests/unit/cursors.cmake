unit_test(store_cursors SEES storage)
unit_test(store_ids SEES storage LINKS PkgConfig::LMDB) # it writes foreign files
