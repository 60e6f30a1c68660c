# Plain programs for the preset "tsan", and for all the others.
function(stress_test name)
  add_executable(stress_${name} stress/${name}.c)
  target_link_libraries(stress_${name} PRIVATE broker)
  target_include_directories(stress_${name} PRIVATE support)
  add_test(NAME stress_${name} COMMAND stress_${name})
  set_tests_properties(stress_${name} PROPERTIES LABELS stress TIMEOUT 150)
endfunction()

stress_test(ledger)
stress_test(rate)
stress_test(ties)
stress_test(waiters)
stress_test(writer)
