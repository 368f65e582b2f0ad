// The trainer. run() is the whole of it: restore, then step after step, closing an epoch where one ends and writing a
// checkpoint where it is time. A step is a pure function of the state and the batch, and the batch one of its number, so
// going on from a checkpoint repeats what would have been. The next batch is prepared while the present one is learned.
#include "tailor/learn/train.h"

#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/base/interrupt.h"
#include "tailor/learn/batches.h"
#include "tailor/learn/classes.h"
#include "tailor/learn/loss.h"
#include "tailor/learn/optimiser.h"
#include "tailor/learn/progress_notes.h"
#include "tailor/learn/saved.h"
#include "tailor/learn/state.h"
#include "tailor/learn/subject.h"
#include "tailor/learn/unit_shares.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <future>

namespace tailor::learn {
namespace {

using Clock = std::chrono::steady_clock;

double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

class Trainer {
 public:
  Trainer(const graph::Model& model, const Task& task, const Recipe& recipe, const Keeping& keeping,
          const std::function<void(const Moment&)>& progress);
  Training run();

 private:
  std::int64_t total() const { return recipe_.epochs * batches_.per_epoch(); }
  std::vector<at::Tensor> everything();
  void restore();
  void save();
  void save_if_due(bool end_of_epoch);
  void stop_if_interrupted();
  void prefetch(std::int64_t step);
  void learn_from(const Batch& batch);
  void close_epoch();
  std::optional<Evaluation> look();
  void decide();
  void report(double loss);
  Saved saved();

  const Task& task_;
  const Recipe recipe_;
  const Keeping keeping_;
  const std::function<void(const Moment&)>& progress_;
  const Batches batches_;
  Subject subject_;
  Optimiser optimiser_;
  std::optional<UnitShares> shares_;
  std::optional<Average> average_;
  ProgressNotes notes_;
  std::int64_t step_ = 0, resumed_at_ = 0, images_ = 0;
  double busy_s_ = 0, epoch_s_ = 0, rate_ = 0;  // learning, in this process; of it in this epoch
  std::int64_t epoch_images_ = 0;
  Clock::time_point written_ = Clock::now();
  std::future<Batch> next_;  // last: what it reads must outlive it
};

Trainer::Trainer(const graph::Model& model, const Task& task, const Recipe& recipe, const Keeping& keeping,
                 const std::function<void(const Moment&)>& progress)
    : task_(task),
      recipe_(recipe),
      keeping_(keeping),
      progress_(progress),
      batches_(*task.data, recipe),
      subject_(model, task, recipe, batches_.batch()),
      optimiser_(recipe, subject_.student.parameters(), subject_.student.state().learned()) {
  if (recipe.average > 0) average_.emplace(recipe.average, everything());
  if (!task.units) return;
  TAILOR_CHECK(task.keepings.empty());
  subject_.student.state().shares = &shares_.emplace(*task.units);
}

std::vector<at::Tensor> Trainer::everything() {
  std::vector<at::Tensor> list;
  for (const auto& [name, tensor] : subject_.student.state().tensors) list.push_back(tensor);
  return list;
}

// All that changes, under names that do not.
Saved Trainer::saved() {
  Saved list;
  for (const auto& [name, tensor] : subject_.student.state().tensors)
    list.emplace_back("parameter " + name, tensor);
  for (std::size_t i = 0; i < optimiser_.moments().size(); ++i)
    list.emplace_back(fmt::format("moment {}", i), optimiser_.moments()[i]);
  for (std::size_t i = 0; average_ && i < average_->tensors().size(); ++i)
    list.emplace_back(fmt::format("average {}", i), average_->tensors()[i]);
  if (shares_)
    for (const auto& entry : shares_->tensors()) list.push_back(entry);
  return list;
}

void Trainer::restore() {
  if (keeping_.checkpoint.empty()) return;
  if (!keeping_.resume) return save();
  Checkpoint checkpoint = read_checkpoint(keeping_.checkpoint);
  if (checkpoint.run != keeping_.run || checkpoint.step > total())
    throw Error(
        Code::checkpoint_mismatch, "the checkpoint is of another run", keeping_.checkpoint.string(),
        "give the models, data, options and number of threads that it was made with, or leave --resume out");
  restore_tensors(checkpoint, saved(), keeping_.checkpoint);
  notes_ = parse_notes(checkpoint.notes, keeping_.checkpoint.string());
  step_ = resumed_at_ = checkpoint.step;
  optimiser_.set_steps(step_);
  if (shares_) shares_->set_steps(step_);
}

void Trainer::save() {
  write_checkpoint(keeping_.checkpoint, {keeping_.run, step_, to_text(notes_), stored_tensors(saved())});
  written_ = Clock::now();
}

void Trainer::save_if_due(bool end_of_epoch) {
  if (!keeping_.checkpoint.empty() && since(written_) >= keeping_.every_s * (end_of_epoch ? 0.1 : 1)) save();
}

void Trainer::stop_if_interrupted() {
  if (!interrupted()) return;
  if (keeping_.checkpoint.empty()) throw_if_interrupted();
  save();
  throw Error(Code::interrupted, fmt::format("interrupted after {} of {} steps", step_, total()),
              keeping_.checkpoint.string(), "the same command with --resume goes on from there");
}

void Trainer::prefetch(std::int64_t step) {
  if (step < total()) next_ = std::async(std::launch::async, [this, step] { return batches_.at(step); });
}

void Trainer::learn_from(const Batch& batch) {
  auto per_epoch = static_cast<double>(batches_.per_epoch());
  rate_ = rate_at(recipe_.schedule, (static_cast<double>(step_) + 0.5) / per_epoch,
                  static_cast<double>(recipe_.epochs));
  at::manual_seed(generator(recipe_.seed, kDropoutPurpose, static_cast<std::uint64_t>(step_)).next());
  subject_.student.state().forget_gradients();
  if (shares_) shares_->set_epoch(step_ / batches_.per_epoch());
  Verdict verdict = subject_.judge(batch, step_);
  double loss = verdict.loss.item().toDouble();
  if (!std::isfinite(loss + verdict.beside))
    throw Error(Code::diverged, fmt::format("the loss of step {} is {}", step_ + 1, loss), "training",
                "lower --rate, add --warmup, or clip gradients with --clip 1");
  (shares_ ? verdict.loss + shares_->cost() : verdict.loss).backward();
  optimiser_.step(rate_);
  if (shares_) shares_->step();
  subject_.student.state().forget_gradients();
  ++step_;
  if (average_) average_->follow(step_);
  notes_.loss += loss * static_cast<double>(batches_.batch());
  notes_.right += verdict.right;
  notes_.seen += batches_.batch();
}

// From here on each channel is kept in one way.
void Trainer::decide() {
  if (!shares_) return;
  subject_.student.state().shares = nullptr;
  subject_.student.keep(shares_->decided());
}

void Trainer::report(double loss) {
  if (!progress_) return;
  double speed = busy_s_ > 0 ? static_cast<double>(images_) / busy_s_ : 0;
  progress_({step_, total(), (step_ - 1) / batches_.per_epoch() + 1, recipe_.epochs, loss, speed});
}

std::optional<Evaluation> Trainer::look() {
  if (!task_.eval) return std::nullopt;
  if (average_) average_->exchange();
  Evaluation found =
      evaluate(subject_.student, subject_.head(), *task_.eval, recipe_.label_offset, batches_.batch());
  if (average_) average_->exchange();
  return found;
}

void Trainer::close_epoch() {
  auto seen = static_cast<double>(notes_.seen);
  CurvePoint point{step_ / batches_.per_epoch(),
                   step_,
                   rate_,
                   notes_.loss / seen,
                   static_cast<double>(notes_.right) / seen,
                   epoch_s_ > 0 ? static_cast<double>(epoch_images_) / epoch_s_ : 0,
                   look()};
  notes_.curve.push_back(point);
  notes_.loss = 0, notes_.right = notes_.seen = 0;
  epoch_s_ = 0, epoch_images_ = 0;
  if (!keeping_.curve.empty()) write_file(keeping_.curve, to_csv(notes_.curve));
}

Training Trainer::run() {
  restore();
  prefetch(step_);
  while (step_ < total()) {
    stop_if_interrupted();
    auto start = Clock::now();
    Batch batch = next_.get();
    prefetch(step_ + 1);
    learn_from(batch);
    double took = since(start);
    busy_s_ += took, epoch_s_ += took;
    images_ += batches_.batch(), epoch_images_ += batches_.batch();
    report(notes_.loss / static_cast<double>(notes_.seen));
    bool ends = step_ % batches_.per_epoch() == 0;
    if (ends) close_epoch();
    save_if_due(ends);
  }
  if (average_) average_->exchange();
  decide();
  std::int64_t weights = 0;
  for (const at::Tensor& tensor : subject_.student.state().learned()) weights += tensor.numel();
  return {subject_.student.model(),
          notes_.curve,
          total(),
          resumed_at_,
          weights,
          busy_s_,
          busy_s_ > 0 ? static_cast<double>(images_) / busy_s_ : 0,
          subject_.student.state().keepings};
}

}  // namespace

Training train(const graph::Model& model, const Task& task, const Recipe& recipe, const Keeping& keeping,
               const std::function<void(const Moment&)>& progress) {
  check(recipe);
  return Trainer(model, task, recipe, keeping, progress).run();
}

}  // namespace tailor::learn
