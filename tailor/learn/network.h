/// \file A model that can be run with gradients, on libtorch, which this header does not show.
#pragma once

#include "tailor/graph/model.h"
#include "tailor/learn/kept_weights.h"
#include "tailor/learn/parameter.h"
#include "tailor/learn/rounded_activations.h"

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace tailor::learn {

/// What floating tensors are computed in: f64 is for checking gradients.
enum class Precision { f32, f64 };

/// How BatchNormalization and Dropout behave. `evaluate`: by their moving statistics, and not at all. `frozen`: dropout
/// drops, statistics stay. `train`: normalised by the batch, which the moving statistics follow.
enum class Mode { evaluate, frozen, train };

using NamedTensors = std::vector<std::pair<std::string, graph::Tensor>>;

/// d/dt of sum over outputs of weight . output, and that sum.
struct Gradients {
  double value = 0;
  std::map<std::string, graph::Tensor> inputs, parameters;  // by name of the value; floating ones
};

/// The model's graph as a program for libtorch. Shape arithmetic is folded for the shapes of the inputs, once for each;
/// a leading dimension of 1 counts as free, so that models exported for one sample can be trained on many.
/// What cannot be run is known when it is first run: @throws Error not_trainable naming operators and nodes, bad_model,
/// bad_shape (a batch that the graph does not allow).
class Network {
 public:
  /// @throws Error not_trainable if a parameter is of a type that cannot be trained
  explicit Network(graph::Model model, Precision precision = Precision::f32);
  ~Network();
  Network(Network&&) noexcept;
  Network& operator=(Network&&) noexcept;

  /// What training may change; statistics among them.
  const std::vector<Parameter>& parameters() const;
  /// From now on runs see these weights as they are kept. Those that learn are the ones that are rounded at each run.
  /// @throws Error as as_kept
  void keep(const Keepings& keepings);
  /// From now on runs see these values at the nearest level; the gradient passes where a level is near (straight-through),
  /// and not beyond the last one. Names that a run does not compute are passed over.
  void round(RoundedActivations activations);
  /// The model with the parameters as they are now, those that are kept coarsely so. Nothing else differs from the model
  /// that was given, but vectors
  /// that layers shared (with_own_vectors).
  graph::Model model() const;
  /// A parameter as it learns now, f32 or f64 as the precision is.
  graph::Tensor value(const std::string& name) const;
  /// @pre a parameter, floating, of its dimensions
  void assign(const std::string& name, const graph::Tensor& value);

  /// The values named, or the graph's outputs if none are. Without gradients.
  std::vector<graph::Tensor> run(const NamedTensors& inputs, const std::vector<std::string>& values = {},
                                 Mode mode = Mode::evaluate);
  /// @param weights one per floating output of the graph, of its shape
  Gradients gradients(const NamedTensors& inputs, const std::vector<graph::Tensor>& weights,
                      Mode mode = Mode::evaluate);

  /// Private to the module (state.h).
  struct State;
  State& state() { return *state_; }

 private:
  std::unique_ptr<State> state_;
};

/// Threads that libtorch computes on. Results of another number of threads differ in the last bits.
void set_threads(int threads);

}  // namespace tailor::learn
