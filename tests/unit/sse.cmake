unit_test(sse_event SEES http)
unit_test(sse_stream SEES http LINKS PkgConfig::MHD)
