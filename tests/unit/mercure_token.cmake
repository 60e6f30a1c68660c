unit_test(mercure_token SEES http LINKS PkgConfig::JWT PkgConfig::CRYPTO)
