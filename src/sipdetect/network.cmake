# The network of the detector library: sd_network_sources(<target>) adds its sources, each with the options of
# its instruction set, to a target of the calling directory.  Needs src/ among the include directories.
set(SD_NETWORK_FOLDER ${CMAKE_CURRENT_LIST_DIR})

function(sd_network_sources target)
  # Element arithmetic has the same bits everywhere: nothing is contracted into fused operations.  Without
  # -fno-trapping-math, which changes no value, gcc leaves the cells' loops scalar; at -O3, gcc 12 keeps the
  # accumulators of the innermost loops in memory, which costs almost half of the speed.
  set(common -ffp-contract=off -fno-math-errno -fno-trapping-math -O2)
  if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    list(APPEND common -ftree-vectorize -fvect-cost-model=dynamic)
  endif()
  set(avx2 -mavx2 -mfma)
  set(avx512 ${avx2} -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512)
  set(options_kernels_avx2 ${avx2})
  set(options_kernels_avx2_dot ${avx2} -mavxvnni)
  set(options_kernels_avx512 ${avx512})
  set(options_kernels_avx512_dot ${avx512} -mavx512vnni -mavx512bf16)
  set(options_kernels_amx ${avx512} -mamx-tile -mamx-bf16 -mamx-int8)
  set(names network pack kernels kernels_generic)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64" AND NOT SD_NO_X86)
    list(APPEND names kernels_avx2 kernels_avx2_dot kernels_avx512 kernels_avx512_dot kernels_amx)
  else()
    set_property(SOURCE ${SD_NETWORK_FOLDER}/kernels.c APPEND PROPERTY COMPILE_DEFINITIONS SD_NO_X86)
  endif()
  foreach(name IN LISTS names)
    target_sources(${target} PRIVATE ${SD_NETWORK_FOLDER}/${name}.c)
    set_source_files_properties(${SD_NETWORK_FOLDER}/${name}.c PROPERTIES COMPILE_OPTIONS
                                "${common};${options_${name}}")
  endforeach()
endfunction()
