// tailor search, step after step: the space of the file; a supernet trained for all of it (kept by a checkpoint); the
// searches, by losses and latencies that a journal keeps; the networks found, trained alike (checkpoints again); all of
// them timed beside each other. --resume skips what the folder holds.
#include "tailor/base/file.h"
#include "tailor/base/parallel.h"
#include "tailor/base/progress.h"
#include "tailor/graph/overrides.h"
#include "tailor/learn/batches.h"
#include "tailor/learn/parameter.h"
#include "tailor/learn/supernet.h"
#include "tailor/onnx/onnx.h"
#include "tailor/pipeline/counted.h"
#include "tailor/runtime/profile.h"
#include "tailor/trainer/search.h"
#include "tailor/trainer/search_journal.h"
#include "tailor/trainer/trainer.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

namespace tailor::trainer {
namespace {

namespace fs = std::filesystem;
using pipeline::FoundMember;
using pipeline::Member;

constexpr std::uint64_t kMembers = 7, kSplit = 8;  // purposes of random numbers (learn::generator)
constexpr std::int64_t kBatch = 100;               // of evaluations
constexpr int kTimingRounds = 101;
constexpr double kNoNumber = 1e6;  // the loss of a member whose outputs are none

// Samples to learn from and samples to judge members on, drawn once from those given.
struct Split {
  data::Dataset train, held_out, statistics;
};

data::Dataset part(const data::Dataset& data, const std::vector<std::int64_t>& order, std::int64_t first,
                   std::int64_t count) {
  return data.subset({order.begin() + first, order.begin() + first + count});
}

Split split(const data::Dataset& data, const SearchFile& file) {
  if (!data.labelled())
    throw Error(Code::dataset_mismatch, "the samples have no labels", data.path().string(),
                "a search learns from labels");
  if (file.held_out > data.size() / 2)
    throw Error(Code::bad_value,
                fmt::format("{} samples held out of {}: at most half", file.held_out, data.size()),
                "accuracy, held_out");
  std::vector<std::int64_t> order(static_cast<std::size_t>(data.size()));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  learn::generator(file.seed, kSplit, 0).shuffle(order);
  const std::int64_t left = data.size() - file.held_out;
  return {part(data, order, 0, left), part(data, order, left, file.held_out),
          part(data, order, 0, std::min(file.statistics, left))};
}

// The largest network as it begins.
graph::Model beginning(const SearchFile& file) {
  graph::Model model = learn::with_own_vectors(onnx::read(file.model));
  return file.anew ? learn::with_own_vectors(learn::initialised(model, file.seed)) : model;
}

pipeline::RemovalOrders orders_of(const pipeline::Subject& subject) {
  return pipeline::removal_orders(subject, pipeline::Criterion::l1, {});
}

class Search {
 public:
  Search(const Voice& voice, const SearchArguments& a)
      : voice_(voice),
        a_(a),
        file_(read_search_file(a.space)),
        whole_(pipeline::make_subject(beginning(file_), graph::parse_shape_overrides(a.shapes))),
        space_(pipeline::resolve(file_.space, whole_)),
        orders_(orders_of(whole_)),
        numbers_(pipeline::make_subject(learn::numbered(whole_.model), whole_.overrides)),
        split_(split(read_samples(a.data, a.preparation, whole_.model, a.limit), file_)),
        eval_(read_samples(a.eval, a.preparation, whole_.model, 0)),
        run_(fingerprint()) {}

  SearchResult carry_out();
  const SearchFile& file() const { return file_; }
  const pipeline::Subject& subject() const { return whole_; }

 private:
  std::string fingerprint() const;
  fs::path in_folder(const std::string& name) const { return a_.out / name; }
  void say(const std::string& line) const {
    if (!voice_.quiet) fmt::print(stderr, "{}  {}\n", ::isatty(2) ? "\r\x1b[K" : "", line);
  }
  void begin();
  graph::Model carved(const Member& member) const;
  learn::Training trained(const std::string& phase, const graph::Model& model, const learn::Task& task,
                          const learn::Recipe& recipe, const std::string& name);
  void train_supernet();
  double loss(const Member& member);
  double ratio(const pipeline::Surgery& surgery);
  double goal_ratio(const pipeline::SupernetTools& tools, std::vector<Finalist>& finalists);
  FoundMember find(Strategy strategy, const std::function<FoundMember()>& search);
  std::vector<Finalist> find_all(SearchResult& result);
  graph::Model member_model(const Member& member) const;
  void train_finalist(Finalist& finalist);
  pipeline::BenchOptions bench_options() const;
  double whole_us();

  const Voice& voice_;
  const SearchArguments& a_;
  const SearchFile file_;
  pipeline::Subject whole_;  // with the supernet's weights, once it is trained
  const pipeline::SearchSpace space_;
  const pipeline::RemovalOrders orders_;
  const pipeline::Subject numbers_;  // the whole network with the weights' numbers in their place
  const Split split_;
  const data::Dataset eval_;
  const std::string run_;
  std::optional<SearchJournal> journal_;
  std::optional<runtime::Runner> runner_;
};

// What decides the result besides the program and the machine's speed.
std::string Search::fingerprint() const {
  const graph::Tensor some = split_.train.batch(0, std::min<std::int64_t>(split_.train.size(), 16));
  const Bytes labels = Bytes::own(std::vector<std::int64_t>(split_.train.labels()));
  const Json json = {{"space", sha256(map_file(a_.space))},
                     {"model", onnx::fingerprint(file_.model)},
                     {"samples", split_.train.size()},
                     {"labels", sha256(labels)},
                     {"first samples", sha256(some.data)},
                     {"label offset", a_.label_offset},
                     {"shapes", a_.shapes},
                     {"threads", a_.threads == 0 ? cores() : a_.threads}};
  return sha256(to_line(json));
}

// Where --resume is not given, nothing of an earlier search stays.
void Search::begin() {
  std::error_code error;
  fs::create_directories(a_.out, error);
  if (!fs::is_directory(a_.out, error))
    throw Error(Code::write_failed, "this is no folder, and none can be made there", a_.out.string());
  console::check_target(in_folder("search.json"));
  const fs::path journal = in_folder("search.jsonl"), checkpoint = in_folder("supernet.checkpoint");
  if (a_.resume) {
    journal_ = SearchJournal::go_on(journal, run_);
    if (!journal_ && !fs::exists(checkpoint))
      throw Error(Code::nothing_to_resume, "the folder holds no search that was begun", a_.out.string(),
                  "without --resume it begins anew");
    return;
  }
  for (Strategy strategy : file_.strategies)
    fs::remove(in_folder(std::string(name(strategy)) + ".checkpoint"));
  fs::remove(checkpoint), fs::remove(journal);
}

graph::Model Search::carved(const Member& member) const {
  return pipeline::apply(numbers_, pipeline::surgery_of(numbers_, space_, orders_, member));
}

learn::Training Search::trained(const std::string& phase, const graph::Model& model, const learn::Task& task,
                                const learn::Recipe& recipe, const std::string& name) {
  learn::Recipe own = recipe;
  own.label_offset = a_.label_offset;
  const fs::path checkpoint = in_folder(name + ".checkpoint");
  learn::Keeping keeping{checkpoint, in_folder(name + ".csv"), sha256(run_ + " " + name),
                         a_.resume && fs::exists(checkpoint),
                         console::parse_seconds(a_.checkpoint_every, "--checkpoint-every")};
  Progress progress(phase);
  return learn::train(model, task, own, keeping, [&](const learn::Moment& m) {
    progress.update(
        static_cast<double>(m.step), static_cast<double>(m.steps),
        fmt::format("epoch {}/{} loss {:.4f} {:.0f} images/s", m.epoch, m.epochs, m.loss, m.images_per_s));
  });
}

// The checkpoint goes last: whoever is killed before has it to go on from.
void Search::train_supernet() {
  const fs::path path = in_folder("supernet.onnx");
  if (!journal_) {
    const graph::Model least = carved(pipeline::smallest(space_));
    auto members = [&](std::int64_t step) {
      Random random = learn::generator(file_.seed, kMembers, static_cast<std::uint64_t>(step));
      std::vector<graph::Model> list = {least};
      for (int i = 0; i < file_.random; ++i) list.push_back(carved(pipeline::drawn(space_, random)));
      return list;
    };
    learn::Task task{&split_.train, nullptr, std::nullopt, learn::Sandwich{members, file_.temperature}};
    onnx::write(trained("supernet", whole_.model, task, file_.supernet, "supernet").model, path);
    journal_ = SearchJournal::begin(in_folder("search.jsonl"), run_);
    fs::remove(in_folder("supernet.checkpoint"));
  }
  pipeline::Subject subject = pipeline::make_subject(onnx::read(path), whole_.overrides);
  subject.path = path;
  whole_ = std::move(subject);
}

// With the supernet's weights and statistics of its own.
graph::Model Search::member_model(const Member& member) const {
  const graph::Model model = pipeline::apply(whole_, pipeline::surgery_of(whole_, space_, orders_, member));
  return learn::with_own_statistics(model, split_.statistics, file_.supernet.batch);
}

double Search::loss(const Member& member) {
  const std::string key = "loss " + pipeline::key_of(member);
  if (const auto known = journal_->number(key)) return *known;
  const double loss = learn::evaluate(member_model(member), split_.held_out, a_.label_offset, kBatch).loss;
  journal_->write(key, std::isfinite(loss) ? std::min(loss, kNoNumber) : kNoNumber);
  return *journal_->number(key);
}

double Search::ratio(const pipeline::Surgery& surgery) {
  return pipeline::measure_ratio(*runner_, whole_, pipeline::apply(whole_, surgery), file_.threads,
                                 kTimingRounds);
}

FoundMember Search::find(Strategy strategy, const std::function<FoundMember()>& search) {
  const std::string key = std::string("found ") + name(strategy);
  if (const auto known = journal_->member(key)) {
    if (pipeline::holds(space_, known->member)) return *known;
    throw Error(Code::bad_checkpoint, "a network that is none of the space",
                in_folder("search.jsonl").string(), "remove it and search again without --resume");
  }
  say(fmt::format("search {}", name(strategy)));
  journal_->write(key, search());
  return *journal_->member(key);
}

double Search::whole_us() {
  runtime::TimingOptions timing;
  timing.threads = file_.threads;
  const runtime::Job job = pipeline::timing_job(whole_.path, whole_.overrides);
  return runtime::summarize(runner_->time(std::span(&job, 1), timing).front().us).median;
}

// The share of the whole network's latency that all are searched for.
double Search::goal_ratio(const pipeline::SupernetTools& tools, std::vector<Finalist>& finalists) {
  if (file_.goal.ratio) return *file_.goal.ratio;
  if (file_.goal.macs) {
    FoundMember found =
        find(Strategy::macs, [&] { return pipeline::search_within_macs(tools, space_, *file_.goal.macs); });
    const double ratio = found.ratio;
    finalists.push_back({Strategy::macs, std::move(found), {}, {}, 1, {}, {}});
    return ratio;
  }
  if (const auto known = journal_->number("goal")) return *known;
  journal_->write("goal", std::min(1.0, *file_.goal.latency_us / whole_us()));
  return *journal_->number("goal");
}

std::vector<Finalist> Search::find_all(SearchResult& result) {
  runtime::Profile profile(a_.profile.empty() ? cache_folder() / "profile.jsonl" : a_.profile);
  runtime::TimingOptions timing;
  timing.threads = file_.threads, timing.seed = file_.seed;
  runtime::MeasuringOracle oracle(*runner_, profile, timing);
  pipeline::LatencyBook book(oracle);
  const pipeline::SupernetTools tools{whole_,
                                      space_,
                                      orders_,
                                      book,
                                      [this](const Member& member) { return loss(member); },
                                      [this](const pipeline::Surgery& surgery) { return ratio(surgery); },
                                      file_.rounds,
                                      file_.points,
                                      [this](const std::string& line) { say(line); }};
  result.tail_free = pipeline::tail_free(whole_, space_, book);
  result.log10_tail_free = pipeline::log10_size(result.tail_free);
  std::vector<Finalist> finalists;
  result.goal = goal_ratio(tools, finalists);
  for (Strategy strategy : file_.strategies) {
    if (!finalists.empty() && finalists.front().strategy == strategy) continue;
    const pipeline::SearchSpace& allowed = strategy == Strategy::tail_free ? result.tail_free : space_;
    finalists.push_back({strategy,
                         find(strategy,
                              [&] {
                                return strategy == Strategy::macs
                                           ? pipeline::search_by_macs(tools, allowed, result.goal)
                                           : pipeline::search_by_latency(tools, allowed, result.goal);
                              }),
                         {},
                         {},
                         1,
                         {},
                         {}});
  }
  std::sort(finalists.begin(), finalists.end(),
            [](const Finalist& a, const Finalist& b) { return a.strategy < b.strategy; });
  for (Finalist& f : finalists) {
    f.macs = pipeline::macs_ratio(tools, f.found.member);
    f.differs = pipeline::describe(whole_, space_, f.found.member);
  }
  return finalists;
}

void Search::train_finalist(Finalist& f) {
  const std::string key = name(f.strategy);
  const graph::Model model = member_model(f.found.member);
  f.before = learn::evaluate(model, eval_, a_.label_offset, kBatch);
  if (!journal_->number("trained " + key)) {
    const graph::Model start = file_.inherit ? model : learn::initialised(model, file_.seed);
    const learn::Task task{&split_.train};
    onnx::write(trained(key, start, task, file_.finalists, key).model, f.model);
    journal_->write("trained " + key, 1);
    fs::remove(in_folder(key + ".checkpoint"));
  }
  f.after = learn::evaluate(onnx::read(f.model), eval_, a_.label_offset, kBatch);
  say(fmt::format("{}: top-1 {} -> {}", key, top1_text(f.before), top1_text(f.after)));
}

pipeline::BenchOptions Search::bench_options() const {
  pipeline::BenchOptions options;
  options.threads = file_.threads, options.seed = file_.seed;
  options.time_s = console::parse_seconds(a_.time, "--time");
  options.runner = runner_->options();
  return options;
}

SearchResult Search::carry_out() {
  SearchResult result;
  begin();
  runtime::RunnerOptions runner;
  runner.library = a_.library;
  runner_.emplace(runner);  // a missing runtime is found now, not after the training
  result.all = space_, result.log10_all = pipeline::log10_size(space_);
  say(fmt::format("space: 10^{:.1f} networks, {} groups, {} branches, {} kernels", result.log10_all,
                  space_.widths.size(), space_.branches.size(), space_.kernels.size()));
  if (!journal_)  // labels that do not fit are found now, too
    say("as it begins: top-1 " + top1_text(learn::evaluate(whole_.model, eval_, a_.label_offset, kBatch)));
  train_supernet();
  result.supernet = whole_.path;
  result.macs = pipeline::count_macs(whole_.model, whole_.overrides);
  result.whole = learn::evaluate(whole_.model, eval_, a_.label_offset, kBatch);
  result.finalists = find_all(result);
  std::vector<fs::path> paths = {result.supernet};
  for (Finalist& f : result.finalists) {
    f.model = in_folder(std::string(name(f.strategy)) + ".onnx");
    const auto twin = std::find_if(result.finalists.begin(), result.finalists.end(),
                                   [&](const Finalist& g) { return g.found.member == f.found.member; });
    if (&*twin == &f) {
      train_finalist(f);
    } else {
      fs::copy_file(twin->model, f.model, fs::copy_options::overwrite_existing);
      f.before = twin->before, f.after = twin->after;
    }
    paths.push_back(f.model);
  }
  result.speed = pipeline::bench(pipeline::timing_jobs(paths, whole_.overrides), bench_options());
  result.trained_on = split_.train.size(), result.held_out = split_.held_out.size();
  result.statistics = split_.statistics.size(), result.losses = journal_->count("loss ");
  return result;
}

// A network that could not be made as fast as was asked for.
const Finalist* too_slow(const SearchResult& result) {
  for (const Finalist& f : result.finalists)
    if (!f.found.fits) return &f;
  return nullptr;
}

}  // namespace

int search(const Voice& voice, const SearchArguments& a) {
  use_threads(a.threads);
  Search search(voice, a);
  const SearchResult result = search.carry_out();
  const Json json = to_json(result, search.file(), search.subject());
  write_file(a.out / "search.json", json.dump(1) + "\n");
  voice.json ? console::print_document(json) : console::print(describe(result, search.file()));
  const Finalist* slow = too_slow(result);
  if (!slow) return 0;
  console::print_error(
      voice, Error(Code::goal_not_met,
                   fmt::format("{} found nothing within the goal: the fastest takes {:.3f} of the latency",
                               name(slow->strategy), slow->found.ratio),
                   a.space.string(), "narrower widths, branches that may go, or a larger goal"));
  return exit_code(Code::goal_not_met);
}

}  // namespace tailor::trainer
