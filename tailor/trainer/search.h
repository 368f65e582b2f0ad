/// \file What a search came to, for its document and its table. Private.
#pragma once

#include "tailor/learn/train.h"
#include "tailor/pipeline/bench.h"
#include "tailor/pipeline/supernet_search.h"
#include "tailor/trainer/search_file.h"

#include <filesystem>
#include <vector>

namespace tailor::trainer {

struct Finalist {
  Strategy strategy = Strategy::tail_free;
  pipeline::FoundMember found;
  std::filesystem::path model;
  std::string differs;              // from the whole network, in words
  double macs = 1;                  // over the whole network's
  learn::Evaluation before, after;  // with the supernet's weights; trained
};

struct SearchResult {
  std::filesystem::path supernet;
  learn::Evaluation whole;  // the supernet's largest network, as it was trained
  double log10_all = 0, log10_tail_free = 0;
  pipeline::SearchSpace all, tail_free;
  double goal = 1;  // share of the whole network's latency
  double macs = 0;  // of the whole network
  std::int64_t trained_on = 0, held_out = 0, statistics = 0;
  std::size_t losses = 0;  // members whose loss was measured
  std::vector<Finalist> finalists;
  pipeline::BenchResult speed;  // the whole network, then each finalist
};

/// Schema "tailor/search/1".
Json to_json(const SearchResult& result, const SearchFile& file, const pipeline::Subject& subject);
std::string describe(const SearchResult& result, const SearchFile& file);

}  // namespace tailor::trainer
