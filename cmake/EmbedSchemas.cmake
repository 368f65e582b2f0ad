# cmake -DOUT=schemas.cpp -DFOLDER=schemas -P EmbedSchemas.cmake: the JSON files of a folder as C++ raw strings.
file(GLOB files ${FOLDER}/*.json)
list(SORT files)
set(entries "")
foreach(file ${files})
  file(READ ${file} text)
  get_filename_component(name ${file} NAME_WE)
  string(APPEND entries "      {\"${name}\", R\"schema(${text})schema\"},\n")
endforeach()
file(WRITE ${OUT}.new "#include \"tailor/app/app.h\"

namespace tailor::app {

const std::vector<std::pair<std::string_view, std::string_view>>& schemas() {
  static const std::vector<std::pair<std::string_view, std::string_view>> list = {
${entries}  };
  return list;
}

}  // namespace tailor::app
")
file(COPY_FILE ${OUT}.new ${OUT} ONLY_IF_DIFFERENT)
