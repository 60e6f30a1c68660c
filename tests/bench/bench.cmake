# What the broker is measured against; see run.
add_executable(sink ${CMAKE_CURRENT_LIST_DIR}/sink.c)
target_link_libraries(sink PRIVATE PkgConfig::MHD Threads::Threads)
add_executable(lmdbloop ${CMAKE_CURRENT_LIST_DIR}/lmdbloop.c)
target_link_libraries(lmdbloop PRIVATE PkgConfig::LMDB)
