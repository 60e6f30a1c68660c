unit_test(config SEES broker)
if(TARGET test_config)
  target_compile_definitions(test_config PRIVATE
                             SLUICE_CONF="${CMAKE_SOURCE_DIR}/deploy/sluice.conf")
endif()
