# gale_registry(folder header namespace type prefix function [EXCEPT file names])
#
# Writes <build>/generated/<folder>_registry.cpp: one `extern const <type> <prefix><file name>;` per .cpp file in src/<folder>,
# and `std::span<const type* const> function()` over all of them, in the order of the names. The file is the registration.
function(gale_registry folder header namespace type prefix function)
  cmake_parse_arguments(ARG "" "" "EXCEPT" ${ARGN})
  file(GLOB files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${folder}/*.cpp)
  list(FILTER files EXCLUDE REGEX "_test\\.cpp$")
  set(externs "")
  set(entries "")
  foreach(file ${files})
    get_filename_component(stem ${file} NAME_WE)
    if(stem IN_LIST ARG_EXCEPT)
      continue()
    endif()
    string(APPEND externs "extern const ${type} ${prefix}${stem};\n")
    string(APPEND entries "    &${prefix}${stem},\n")
  endforeach()
  string(REPLACE "/" "_" flat ${folder})
  set(out ${CMAKE_BINARY_DIR}/generated/${flat}_registry.cpp)
  file(CONFIGURE OUTPUT ${out} CONTENT
"// Generated from the file names of src/${folder}.
#include \"${header}\"
namespace ${namespace} {
${externs}
static const ${type}* const kAll[] = {
${entries}};
std::span<const ${type}* const> ${function}() { return kAll; }
}  // namespace ${namespace}
" @ONLY)
  string(REGEX REPLACE "/.*" "" room ${folder})
  target_sources(gale_${room} PRIVATE ${out})
endfunction()
