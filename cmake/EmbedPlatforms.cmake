# cmake -DOUT=presets.cpp -DFOLDER=devices/platforms -P EmbedPlatforms.cmake: the TOML files of a folder as C++ raw strings.
file(GLOB files ${FOLDER}/*.toml)
list(SORT files)
set(entries "")
foreach(file ${files})
  file(READ ${file} text)
  get_filename_component(name ${file} NAME_WE)
  string(APPEND entries "      {\"${name}\", R\"platform(${text})platform\"},\n")
endforeach()
file(WRITE ${OUT}.new "#include \"tailor/device/platform.h\"

namespace tailor::device {

const std::vector<std::pair<std::string_view, std::string_view>>& presets() {
  static const std::vector<std::pair<std::string_view, std::string_view>> list = {
${entries}  };
  return list;
}

}  // namespace tailor::device
")
file(COPY_FILE ${OUT}.new ${OUT} ONLY_IF_DIFFERENT)
