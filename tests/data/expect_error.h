#pragma once

#include "tailor/base/error.h"
#include "tailor/data/dataset.h"

#include <gtest/gtest.h>

#include <string>

namespace tailor::data {

/// Reading `path` (and all of its samples) must fail with `code` and a message or help that contains `words`.
inline void expect_error(const std::filesystem::path& path, Code code, const std::string& words,
                         const Preparation& preparation = {}, const graph::Shape& expected = {}) {
  try {
    Dataset data = read_dataset(path, preparation, expected);
    data.batch(0, data.size());
    ADD_FAILURE() << path << " was read; expected: " << words;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    std::string all = std::string(error.what()) + " " + error.place() + " " + error.help();
    EXPECT_NE(all.find(words), std::string::npos) << all;
  }
}

}  // namespace tailor::data
