# libFuzzer targets, in the preset "fuzz" (clang). A run: build/fuzz/tests/fuzz_span
# -max_total_time=60 [corpus folder]
if(SLUICE_FUZZ)
  # The fuzzer follows the branches of what is tested, not only those of the target.
  foreach(layer storage broker http)
    target_compile_options(${layer} PRIVATE -fsanitize=fuzzer-no-link)
  endforeach()
endif()

function(fuzz_target name)
  cmake_parse_arguments(T "" "" "SEES" ${ARGN})
  if(NOT SLUICE_FUZZ)
    return()
  endif()
  add_executable(fuzz_${name} fuzz/fuzz_${name}.c)
  target_link_libraries(fuzz_${name} PRIVATE ${T_SEES})
  target_compile_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
endfunction()

fuzz_target(text SEES storage)
fuzz_target(span SEES http)
fuzz_target(batch SEES http)
fuzz_target(pulsar SEES http)
fuzz_target(mercure_form SEES http)
fuzz_target(selector SEES http)
fuzz_target(mercure_claims SEES http)
