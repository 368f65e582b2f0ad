# tailor_module(NAME SOURCES ... [DEPS modules...] [LIBS targets...])
#   One static library tailor_NAME (alias tailor::NAME) from tailor/NAME. DEPS are public, LIBS private: a third-party
#   library that one module wraps never leaks into the include path of another.
# tailor_test(NAME SOURCES ... [LIBS targets...])
#   One GoogleTest program test_NAME; each TEST in it is a CTest of its own.

add_library(tailor_flags INTERFACE)
target_compile_options(tailor_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor
  -Woverloaded-virtual -Wcast-qual -Wimplicit-fallthrough)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(tailor_flags INTERFACE -Wno-restrict)  # g++ 12 warns about its own std::string (GCC PR 105651)
endif()
if(TAILOR_WERROR)
  target_compile_options(tailor_flags INTERFACE -Werror)
endif()
if(TAILOR_SANITIZE)
  add_compile_options(-fsanitize=${TAILOR_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${TAILOR_SANITIZE})
  add_compile_definitions(TAILOR_SANITIZED=1)
endif()
if(TAILOR_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link,address,undefined -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=address,undefined)
  add_compile_definitions(TAILOR_SANITIZED=1)
endif()

function(tailor_module NAME)
  cmake_parse_arguments(M "" "" "SOURCES;DEPS;LIBS" ${ARGN})
  add_library(tailor_${NAME} STATIC ${M_SOURCES})
  add_library(tailor::${NAME} ALIAS tailor_${NAME})
  target_include_directories(tailor_${NAME} PUBLIC ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR}/generated)
  list(TRANSFORM M_DEPS PREPEND tailor::)
  target_link_libraries(tailor_${NAME} PUBLIC ${M_DEPS} PRIVATE tailor_flags fmt::fmt ${M_LIBS})
endfunction()

# tailor_embed(OUT FOLDER EXTENSION HEADER FUNCTION)
#   OUT.cpp in the binary folder of the caller with the texts of FOLDER/*.EXTENSION, returned by FUNCTION of HEADER.
function(tailor_embed OUT FOLDER EXTENSION HEADER FUNCTION)
  file(GLOB texts CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${FOLDER}/*.${EXTENSION})
  add_custom_command(OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/${OUT}
    COMMAND ${CMAKE_COMMAND} -DOUT=${CMAKE_CURRENT_BINARY_DIR}/${OUT} -DFOLDER=${PROJECT_SOURCE_DIR}/${FOLDER}
            -DEXTENSION=${EXTENSION} -DHEADER=${HEADER} -DFUNCTION=${FUNCTION}
            -P ${PROJECT_SOURCE_DIR}/cmake/EmbedTexts.cmake
    DEPENDS ${texts} ${PROJECT_SOURCE_DIR}/cmake/EmbedTexts.cmake
    COMMENT "Embedding ${FOLDER}" VERBATIM)
endfunction()

function(tailor_test NAME)
  cmake_parse_arguments(T "" "" "SOURCES;LIBS" ${ARGN})
  add_executable(test_${NAME} ${T_SOURCES})
  target_link_libraries(test_${NAME} PRIVATE tailor_flags tailor_testing fmt::fmt ${T_LIBS} GTest::gtest GTest::gtest_main)
  # A third of the compile time; what is tested keeps its own level.
  target_compile_options(test_${NAME} PRIVATE $<$<CONFIG:Release>:-O1>)
  set(seconds 600)
  if(TAILOR_SANITIZE)
    target_compile_options(test_${NAME} PRIVATE -O0)
    set(seconds 2400)
  endif()
  gtest_discover_tests(test_${NAME} TEST_PREFIX ${NAME}. DISCOVERY_MODE PRE_TEST PROPERTIES TIMEOUT ${seconds} LABELS ${NAME}
    ENVIRONMENT "OPENBLAS_NUM_THREADS=1")
endfunction()
