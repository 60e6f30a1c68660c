# libFuzzer targets, in the preset "fuzz" (clang). A run: build/fuzz/tests/fuzz_span
# -max_total_time=60 [corpus folder]
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
