unit_test(addresses SEES http)
unit_test(connection SEES http LINKS PkgConfig::MHD)
