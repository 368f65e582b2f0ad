// A folder of images. The files stay compressed in their mappings; only their headers are read at once.
#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/data/pixels.h"
#include "tailor/data/resize.h"
#include "tailor/data/source.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <sstream>

namespace tailor::data {
namespace fs = std::filesystem;
namespace {

struct Listed {
  fs::path file;
  std::int64_t label = -1;  // none
};

bool is_image(const fs::path& file) {
  std::string end = file.extension().string();
  std::transform(end.begin(), end.end(), end.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return end == ".jpg" || end == ".jpeg" || end == ".png";
}

std::vector<Listed> all_images(const fs::path& folder) {
  std::vector<Listed> list;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder))
    if (entry.is_regular_file() && is_image(entry.path())) list.push_back({entry.path()});
  std::sort(list.begin(), list.end(), [](const Listed& a, const Listed& b) { return a.file < b.file; });
  return list;
}

std::vector<std::string> columns(const std::string& line) {
  std::vector<std::string> result;
  std::istringstream stream(line);
  for (std::string column; std::getline(stream, column, '\t');) result.push_back(column);
  return result;
}

// A name in the folder or below it; nothing that leads out of it.
bool is_inside(const fs::path& name) {
  return name.is_relative() &&
         std::none_of(name.begin(), name.end(), [](const fs::path& part) { return part == ".."; });
}

// labels.tsv: file, class, anything. A first line of column titles ("file ...") is passed over.
std::vector<Listed> listed_images(const fs::path& folder, const fs::path& table) {
  std::vector<Listed> list;
  std::istringstream lines{std::string(map_file(table).view())};
  std::size_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (!line.empty() && line.back() == '\r') line.pop_back();
    std::vector<std::string> fields = columns(line);
    if (fields.empty() || (number == 1 && fields[0] == "file")) continue;
    std::int64_t label = -1;
    if (fields.size() >= 2) {
      const std::string& text = fields[1];
      auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), label);
      if (error != std::errc{} || end != text.data() + text.size()) label = -1;
    }
    if (label < 0)
      bad_dataset(table, fmt::format("line {}: expected a file name, a tab and a class number", number));
    if (!is_inside(fields[0]))
      bad_dataset(table, fmt::format("line {}: '{}' leads out of the folder", number, fields[0]));
    list.push_back({folder / fields[0], label});
  }
  return list;
}

void check_target(const fs::path& path, const graph::Shape& to) {
  if (to.size() == 3 && to[0] > 0 && to[1] > 0 && to[2] > 0) return;
  throw Error(Code::dataset_mismatch,
              fmt::format("the model takes samples of shape {}: no fixed size to resize images to",
                          graph::to_string(to)),
              path.string(), "fix the size of the input with --shape NAME:1x3x224x224");
}

}  // namespace

SourcePointer read_image_folder(const fs::path& path, Resize how, const graph::Shape& to) {
  if (how != Resize::none) check_target(path, to);
  fs::path table = path / "labels.tsv";
  bool labelled = fs::exists(table);
  std::vector<Listed> list = labelled ? listed_images(path, table) : all_images(path);
  if (list.empty()) bad_dataset(path, "folder of images: no .jpg, .jpeg or .png file in it");
  auto source = std::make_shared<Dataset::Source>();
  auto files = std::make_shared<std::vector<Bytes>>();
  auto names = std::make_shared<std::vector<std::string>>();
  for (const Listed& image : list) {
    files->push_back(map_file(image.file));
    names->push_back(image.file.string());
    graph::Shape shape = image_shape(files->back(), names->back());
    if (source->shape.empty()) source->shape = how == Resize::none ? shape : to;
    if (how == Resize::none ? shape != source->shape : shape[0] != to[0])
      bad_dataset(
          image.file,
          fmt::format("folder of images: this one is {}, the {} {}; --resize is for images of many sizes",
                      graph::to_string(shape), how == Resize::none ? "first is" : "model takes",
                      graph::to_string(source->shape)));
    if (labelled) source->labels.push_back(image.label);
  }
  source->path = path;
  source->count = static_cast<std::int64_t>(files->size());
  source->scale = 255;
  source->slow = true;
  source->decode = [files, names, how, target = source->shape](std::int64_t index, float* out) {
    auto i = static_cast<std::size_t>(index);
    if (how == Resize::none) return decode_image((*files)[i], target, (*names)[i], out);
    graph::Shape shape = image_shape((*files)[i], (*names)[i]);
    std::vector<float> image(static_cast<std::size_t>(graph::element_count(shape)));
    decode_image((*files)[i], shape, (*names)[i], image.data());
    resize(image, shape, target, how, out);
  };
  return source;
}

}  // namespace tailor::data
