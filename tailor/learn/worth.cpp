// read_values: names -> forward of a batch with them kept -> backward -> one pass of sums per value.
#include "tailor/learn/worth.h"

#include "tailor/base/error.h"
#include "tailor/base/interrupt.h"
#include "tailor/learn/classes.h"
#include "tailor/learn/loss.h"
#include "tailor/learn/state.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace tailor::learn {
namespace {

// Values that are read by a product: their channels are the last axis.
std::set<std::string> with_channels_last(const graph::Model& model) {
  std::set<std::string> names;
  for (const graph::Node& node : model.graph.nodes)
    if (node.op == "MatMul") names.insert(node.input(0));
  return names;
}

// What layers with weights read, without what is given to the network.
std::vector<std::string> read_values(const graph::Model& model) {
  std::set<std::string> seen;
  for (const graph::ValueInfo& input : model.graph.inputs) seen.insert(input.name);
  std::vector<std::string> names;
  for (const graph::Node& node : model.graph.nodes)
    for (const char* op : {"Conv", "ConvTranspose", "Gemm", "MatMul"})
      if (node.op == op && seen.insert(node.input(0)).second) names.push_back(node.input(0));
  return names;
}

class Worth {
 public:
  Worth(const graph::Model& model, const data::Dataset& data, std::int64_t offset, Head head)
      : data_(data),
        offset_(offset),
        head_(std::move(head)),
        network_(model),
        wanted_(read_values(model)),
        last_(with_channels_last(model)) {
    input_ = only_input(network_.state().model).name;
    for (const std::string& name : wanted_) found_.push_back({name, {}, {}});
    wanted_.push_back(head_.value);
  }

  void add(std::int64_t first, std::int64_t count) {
    const Feeds feeds = {{input_, to_aten(data_.batch(first, count), network_.state().real)}};
    std::vector<at::Tensor> values = network_.state().forward(feeds, wanted_, Mode::evaluate);
    const at::Tensor scores = rows(values.back());
    values.pop_back();
    for (at::Tensor& value : values)
      if (value.requires_grad()) value.retain_grad();
    // The mean times the number: every sample's own loss, whatever the batch.
    at::Tensor loss = cross_entropy(scores, labels(first, count, scores), 0) * static_cast<double>(count);
    loss_ += loss.item().toDouble(), samples_ += count;
    loss.backward();
    for (std::size_t i = 0; i < values.size(); ++i)
      if (values[i].requires_grad() && values[i].dim() >= 2)
        add(found_[i], values[i], last_.contains(found_[i].value) ? -1 : 1);
    network_.state().forget_gradients();
  }

  WorthResult result() {
    WorthResult r{samples_, data_.labelled(), loss_ / static_cast<double>(samples_), {}};
    for (ChannelWorth& w : found_) {
      for (auto* sums : {&w.taylor, &w.fisher})
        for (double& x : *sums) x /= static_cast<double>(samples_);
      if (!w.taylor.empty()) r.values.push_back(std::move(w));
    }
    return r;
  }

 private:
  std::vector<std::int64_t> labels(std::int64_t first, std::int64_t count, const at::Tensor& scores) const {
    std::vector<std::int64_t> list;
    if (!data_.labelled()) {
      const at::Tensor own = scores.argmax(1).contiguous();
      list.assign(own.data_ptr<std::int64_t>(), own.data_ptr<std::int64_t>() + count);
      return list;
    }
    for (std::int64_t i = first; i < first + count; ++i)
      list.push_back(data_.labels()[static_cast<std::size_t>(i)] + offset_);
    return list;
  }

  static void add(ChannelWorth& worth, const at::Tensor& value, std::int64_t channels) {
    const at::Tensor gradient = value.grad();
    if (!gradient.defined()) return;
    const at::Tensor gate = (value.detach() * gradient)
                                .to(at::kDouble)
                                .movedim(channels, 1)
                                .flatten(1)
                                .view({value.size(0), value.size(channels), -1})
                                .sum(2);
    accumulate(worth.taylor, gate.abs().sum(0));
    accumulate(worth.fisher, (gate * gate).sum(0) / 2);
  }
  static void accumulate(std::vector<double>& sums, const at::Tensor& more) {
    const at::Tensor flat = more.contiguous();
    sums.resize(static_cast<std::size_t>(flat.numel()), 0.0);
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += flat.data_ptr<double>()[i];
  }

  const data::Dataset& data_;
  std::int64_t offset_;
  Head head_;
  Network network_;
  std::string input_;
  std::vector<std::string> wanted_;
  std::set<std::string> last_;
  std::vector<ChannelWorth> found_;
  double loss_ = 0;
  std::int64_t samples_ = 0;
};

}  // namespace

WorthResult channel_worth(const graph::Model& model, const data::Dataset& data, std::int64_t label_offset,
                          std::int64_t batch) {
  TAILOR_CHECK(batch >= 1);
  const Head head = heads(model, shapes_for(model, data, std::min(batch, data.size()))).front();
  if (data.labelled()) check_labels(data, head, label_offset);
  if (!head.classes)
    throw Error(Code::not_trainable, fmt::format("the output '{}' holds no scores of classes", head.value),
                "outputs", "channels of such a model are ordered by another --criterion");
  Worth worth(model, data, label_offset, head);
  for (std::int64_t first = 0; first < data.size(); first += batch) {
    throw_if_interrupted();
    worth.add(first, std::min(batch, data.size() - first));
  }
  return worth.result();
}

}  // namespace tailor::learn
