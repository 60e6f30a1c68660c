unit_test(config SEES broker)
unit_test(config_errors SEES broker)
unit_test(config_forms SEES broker)
if(TARGET test_config)
  target_compile_definitions(test_config PRIVATE
                             SLUICE_CONF="${CMAKE_SOURCE_DIR}/deploy/sluice.conf")
endif()
