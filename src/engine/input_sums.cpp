#include "engine/input_sums.h"

#include <algorithm>
#include <cstring>

#include "checkpoint/hash.h"

namespace gale {

InputSums::InputSums(const std::vector<LoadedWeight>& weights, ThreadPool& pool) : pool_(pool) {
  for (size_t i = 0; i < weights.size(); ++i) {
    const LoadedWeight& w = weights[i];
    if (w.experts)
      known_.try_emplace(w.experts.get(), Known{i, w.experts->experts, w.experts->stacked.columns});
    else
      known_.try_emplace(w.matrix.get(), Known{i, 1, w.matrix->columns});
  }
}

std::vector<InputSums::Input> InputSums::inputs() const {
  std::vector<Input> out;
  std::unordered_map<uint64_t, size_t> first;  // place in `out` of the input's first expert
  for (const Seen& seen : seen_) {
    const auto [at, fresh] = first.try_emplace(seen.input, out.size());
    for (int64_t e = 0; e < seen.what.experts; ++e) {
      const Matrix reader{seen.what.weight, e};
      if (fresh)
        out.push_back({.leader = reader, .readers = {reader}, .columns = seen.what.columns});
      else
        out[at->second + size_t(e)].readers.push_back(reader);
    }
  }
  return out;
}

void InputSums::start(std::span<const Input> inputs) {
  sums_.clear();
  for (const Input& input : inputs) {
    auto& sums = sums_[input.leader.weight];
    sums.resize(std::max(sums.size(), size_t(input.leader.expert) + 1));
    sums[size_t(input.leader.expert)] = std::make_unique<InputHessian>(input.columns);
  }
}

std::unique_ptr<InputHessian> InputSums::take(const Input& input) {
  return std::move(sums_.at(input.leader.weight)[size_t(input.leader.expert)]);
}

void InputSums::see(const Known& what, const Tensor& x, std::span<const int32_t> begin, std::span<const int32_t> source) {
  if (std::ranges::any_of(seen_, [&](const Seen& seen) { return seen.what.weight == what.weight; })) return;
  const std::span values(x.data<float>(), size_t(x.dim(0) * what.columns));
  RunningHash hash;
  hash.add(std::as_bytes(values));
  hash.add(std::as_bytes(begin));
  hash.add(std::as_bytes(source));
  // Zeros are alike wherever they come from.
  const bool tells = std::ranges::any_of(values, [](float v) { return v != 0; });
  seen_.push_back({what, tells ? hash.value() : ~uint64_t(what.weight)});
}

void InputSums::matrix(const PackedMatrix& w, const Tensor& x) {
  const auto found = known_.find(&w);
  if (found == known_.end()) return;
  if (sums_.empty()) return see(found->second, x, {}, {});
  if (const auto sums = sums_.find(found->second.weight); sums != sums_.end())
    sums->second.front()->add(x.data<float>(), x.dim(0), pool_);
}

void InputSums::experts(const ExpertMatrix& w, const Tensor& x, const int32_t* source, const Routing& routing) {
  const auto found = known_.find(&w);
  if (found == known_.end()) return;
  const std::span begin(routing.begin.data<int32_t>(), size_t(routing.experts) + 1);
  if (sums_.empty())
    return see(found->second, x, begin, source ? std::span(source, size_t(routing.pairs())) : std::span<const int32_t>());
  const auto sums = sums_.find(found->second.weight);
  if (sums == sums_.end()) return;
  const int64_t columns = found->second.columns;
  for (size_t e = 0; e < sums->second.size(); ++e) {
    const int64_t n = begin[e + 1] - begin[e];
    if (sums->second[e] == nullptr || n == 0) continue;
    rows_.resize(size_t(n * columns));
    for (int64_t i = 0; i < n; ++i) {
      const int64_t pair = begin[e] + i;
      std::memcpy(rows_.data() + i * columns, x.data<float>() + (source ? source[pair] : pair) * columns,
                  size_t(columns) * sizeof(float));
    }
    sums->second[e]->add(rows_.data(), n, pool_);
  }
}

}  // namespace gale
