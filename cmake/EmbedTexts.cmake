# cmake -DOUT=x.cpp -DFOLDER=devices -DEXTENSION=toml -DHEADER=tailor/... -DFUNCTION=ns::name -P EmbedTexts.cmake
# The files of a folder as C++ raw strings: `const std::vector<std::pair<std::string_view, std::string_view>>& FUNCTION()`
# returns their names without extension and their texts, sorted by name.
file(GLOB files ${FOLDER}/*.${EXTENSION})
list(SORT files)
set(entries "")
foreach(file ${files})
  file(READ ${file} text)
  get_filename_component(name ${file} NAME_WE)
  string(APPEND entries "      {\"${name}\", R\"__(${text})__\"},\n")
endforeach()
file(WRITE ${OUT}.new "#include \"${HEADER}\"

const std::vector<std::pair<std::string_view, std::string_view>>& ${FUNCTION}() {
  static const std::vector<std::pair<std::string_view, std::string_view>> list = {
${entries}  };
  return list;
}
")
file(COPY_FILE ${OUT}.new ${OUT} ONLY_IF_DIFFERENT)
