unit_test(mercure_auth SEES http LINKS PkgConfig::MHD PkgConfig::JWT PkgConfig::CRYPTO)
