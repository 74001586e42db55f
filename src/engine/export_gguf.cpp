#include "engine/export_gguf.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <future>
#include <map>
#include <memory>
#include <utility>

#include "base/checked.h"
#include "base/first_error.h"
#include "base/threads.h"
#include "checkpoint/gguf_names.h"
#include "engine/auto_quant.h"
#include "engine/export_metadata.h"
#include "engine/made_matrix.h"
#include "engine/model_source.h"
#include "engine/runtime.h"
#include "engine/weight_plan.h"
#include "nn/arrangement.h"
#include "quant/arranged.h"

namespace gale {
namespace {

constexpr int64_t kChunkBytes = int64_t(64) << 20;  // of output, made at a time
constexpr int64_t kRowsPerPiece = 16;

// A matrix or vector of the model, in one tensor or in several that a format reads together.
struct Part {
  TensorGroup group;
  const Format* from;
  Shape shape;
  int64_t bytes = 0;
  std::string source;              // for messages
  const RawTensor* raw = nullptr;  // where it is one tensor

  int64_t rows() const { return raw ? raw->rows() : shape.elements() / shape[-1]; }
  int64_t columns() const { return raw ? raw->columns() : shape[-1]; }
};

// One tensor on its way into the file: rows [0, rows) of the file's order from each of its parts. Only experts have several.
struct Plan {
  std::vector<Part> parts;
  const Format* to;
  std::string name;
  int64_t rows, columns, stride;       // of one part of the output
  std::string logical;                 // Hugging Face's name
  std::vector<int64_t> row_in_source;  // Hugging Face's row of each row of the file; empty: the same
};

std::vector<int64_t> file_order(int64_t rows, int32_t heads) {
  std::vector<int64_t> out;
  if (heads == 0) return out;
  out.resize(size_t(rows));
  for (int64_t i = 0; i < rows; ++i) out[size_t(interleaved_row(i, rows, heads))] = i;
  return out;
}

// What lies beside a weight (scales, zero points) is part of it: only a format that understands all of it may read it.
Part find_part(const Checkpoint& source, const std::string& name) {
  constexpr std::string_view kWeight = ".weight";
  Part out;
  out.raw = source.find(name);
  if (name.ends_with(kWeight)) out.group = group_of(source, std::string_view(name).substr(0, name.size() - kWeight.size()));
  if (out.raw == nullptr || out.group.parts.size() > 1) {
    out.raw = nullptr;
    require(!out.group.parts.empty(), ErrorCode::corrupt, "{}: no tensor {}", source.path().string(), name);
    out.from = &format_of(out.group);
    const auto [rows, columns] = out.from->shape(out.group);
    const RawTensor* whole = out.group.part("weight");
    out.shape = whole && whole->shape.rank() == 3 ? whole->shape : Shape{rows, columns};
    out.source = out.group.name;
  } else {
    TensorGroup alone;
    alone.name = name;
    alone.parts = {{"weight", out.raw}};
    alone.quantization_config = out.group.quantization_config;
    out.from = &format_of(out.group.parts.empty() ? alone : out.group);
    out.group = std::move(alone);
    out.shape = out.raw->shape;
    out.source = out.raw->source;
  }
  for (const auto& [suffix, tensor] : out.group.parts) out.bytes += tensor->own_bytes();
  return out;
}

// The form of a matrix that stays as it is.
const Format* kept(const Part& part) {
  for (const Format* format : formats())
    if (is_arranged(part.group) && format->stored == part.raw->type && (format->quantize || format->join) &&
        tensor_type_info(format->stored).ggml >= 0)
      return format;
  return &find_format(tensor_type_info(part.from->stored).ggml >= 0 && part.raw ? part.from->name : "bf16");
}

Plan plan_tensor(std::vector<Part> parts, const std::string& logical, std::string name, int32_t heads, WeightPlan& types) {
  const Part& tensor = parts.front();
  const bool vector = tensor.shape.rank() < 2;
  Plan plan{.parts = {},
            .to = nullptr,
            .name = std::move(name),
            .rows = tensor.rows(),
            .columns = tensor.columns(),
            .stride = 0,
            .logical = logical,
            .row_in_source = {}};
  for (const Part& part : parts)
    require(part.shape == tensor.shape, ErrorCode::corrupt, "{} is {}, but {} is {}; experts must be of one shape", part.source,
            part.shape.text(), tensor.source, tensor.shape.text());
  plan.to = vector ? &find_format("f32") : types.choose(logical, plan.rows, plan.columns);
  if (plan.to == nullptr) plan.to = kept(tensor);
  require(tensor_type_info(plan.to->stored).ggml >= 0, ErrorCode::unsupported,
          "GGUF has no type for {}, which {} would get; write a packed file (--packed){}, or load the model with --quant {}",
          plan.to->name, logical, plan.to->file_form.empty() ? "" : ", or a folder (a name without .gguf)", plan.to->name);
  plan.stride = row_bytes(plan.to->stored, plan.columns, tensor.source);
  require(heads == 0 || (vector ? plan.columns : plan.rows) % (2 * heads) == 0, ErrorCode::corrupt,
          "{}: {} rows cannot be the halves of {} heads", tensor.source, vector ? plan.columns : plan.rows, heads);
  plan.row_in_source = file_order(vector ? plan.columns : plan.rows, heads);
  plan.parts = std::move(parts);
  return plan;
}

// What readers expect: experts that were a tensor each become one of three dimensions.
Shape shape_in_file(const Plan& plan) {
  const Shape& shape = plan.parts.front().shape;
  if (shape.rank() == 0) return {1};
  const bool fused = plan.parts.size() > 1 || (shape.rank() == 2 && plan.name.find("_exps.") != std::string::npos);
  return fused ? Shape{int64_t(plan.parts.size()), plan.rows, plan.columns} : shape;
}

bool copied(const Plan& plan, const Part& part) {
  return part.raw != nullptr && part.raw->type == plan.to->stored && !part.raw->woven() && !is_arranged(part.group);
}

// Blocks that a packed file has arranged for kernels are put together again.
bool joined(const Plan& plan, const Part& part) {
  return part.raw != nullptr && is_arranged(part.group) && part.raw->type == plan.to->stored && plan.to->join != nullptr &&
         part.raw->layout == made_layout(*plan.to, plan.rows, plan.columns).name();
}

// What is known of the matrices that a part holds, the same number of rows each.
struct Matrix {
  std::vector<float> importance;  // mean squared inputs, or empty
  SecondScale second = {};
};
using Matrices = std::vector<Matrix>;

// The scale of each matrix of a packed tensor: it is in all of its top scales, as a half (formats/nvfp4.cpp).
std::vector<float> joined_scales(const Plan& plan, const Part& part) {
  const int64_t matrices = part.shape.rank() == 3 ? part.shape[0] : 1;
  std::vector<float> out;
  LogicalGroups groups;
  for (int64_t i = 0; i < matrices; ++i) {
    arranged_groups(part.group, i * plan.rows / matrices, 1, groups);
    out.push_back(2 * groups.top.front());
  }
  return out;
}

// Whether a tensor of scales goes beside it.
bool has_second_scale(const Plan& plan) {
  if (plan.parts.front().shape.rank() < 2 || !SecondScale::wanted(*plan.to, plan.logical)) return false;
  if (std::ranges::any_of(plan.parts, [&](const Part& part) { return copied(plan, part); })) return false;
  return std::ranges::any_of(plan.parts, [&](const Part& part) {
    return !joined(plan, part) || std::ranges::any_of(joined_scales(plan, part), [](float scale) { return scale != 1; });
  });
}

// Rows [begin, end) of the file's order into out.
void make_rows(const CpuKernels& cpu, const Plan& plan, const Part& part, const Matrices& matrices, int64_t begin, int64_t end,
               std::byte* out) {
  const auto source_row = [&](int64_t i) { return plan.row_in_source.empty() ? i : plan.row_in_source[size_t(i)]; };
  if (copied(plan, part)) {
    for (int64_t i = begin; i < end; ++i, out += plan.stride) std::memcpy(out, part.raw->row(source_row(i)), size_t(plan.stride));
    return;
  }
  LogicalGroups groups;
  for (int64_t i = begin; joined(plan, part) && i < end; ++i) {
    arranged_groups(part.group, source_row(i), 1, groups);
    plan.to->join(groups, plan.columns, out + (i - begin) * plan.stride);
  }
  if (joined(plan, part)) return;
  const auto values = std::make_unique_for_overwrite<float[]>(size_t((end - begin) * plan.columns));
  for (int64_t i = begin; i < end; ++i)
    part.from->dequantize(part.group, {source_row(i), 1, 0, plan.columns}, values.get() + (i - begin) * plan.columns);
  const int64_t matrix_rows = plan.rows / int64_t(matrices.size());
  for (int64_t first = begin, last; first < end; first = last) {
    const auto& [importance, second] = matrices[size_t(first / matrix_rows)];
    last = std::min(end, (first / matrix_rows + 1) * matrix_rows);
    second.take_off({values.get() + (first - begin) * plan.columns, size_t((last - first) * plan.columns)});
    try {
      plan.to->quantize(cpu, values.get() + (first - begin) * plan.columns, last - first, plan.columns,
                        importance.empty() ? nullptr : importance.data(), out + (first - begin) * plan.stride);
    } catch (const Error& e) {
      fail(e.code(), "{}, rows {} to {} as the file has them, cannot become {}: {}", plan.name, first, last - 1, plan.to->name,
           e.what());
    }
  }
}

// A vector is one row whose elements may be reordered.
std::vector<float> make_vector(const Plan& plan) {
  std::vector<float> values(size_t(plan.columns)), out(values.size());
  const Part& part = plan.parts.front();
  part.from->dequantize(part.group, {0, 1, 0, plan.columns}, values.data());
  if (plan.row_in_source.empty()) return values;
  for (size_t i = 0; i < out.size(); ++i) out[i] = values[size_t(plan.row_in_source[i])];
  return out;
}

int64_t matrices_in(const Plan& plan) {
  const Shape shape = shape_in_file(plan);
  return shape.rank() == 3 ? shape[0] : 1;
}
// "blk.0.attn_q.scale", as llama.cpp names it.
std::string scale_name(const Plan& plan) { return plan.name.substr(0, plan.name.rfind('.')) + ".scale"; }

class Exporter {
 public:
  Exporter(const Checkpoint& source, const QuantRecipe& recipe, const std::filesystem::path& output, ThreadPool& pool,
           const ExportProgress& progress)
      : source_(source),
        types_(WeightPlan::of(recipe, source)),
        calibrated_(!recipe.calibrate.empty()),
        writer_(output),
        pool_(pool),
        progress_(progress) {}

  ExportReport run() {
    const GgufTarget target = gguf_target(source_);
    for (const GgufEntry& entry : target.metadata) writer_.set(entry.key, entry.value, entry.width);
    set_general(writer_, source_, types_.type());
    set_tokenizer(writer_, source_);
    declare(target);
    if (calibrated_ && std::ranges::none_of(plans_, [](const Plan& plan) { return plan.to->quantize_by != nullptr; }))
      types_.note("nothing becomes gptq2 to gptq8: no text was needed to calibrate");
    note_own_types();
    for (const Plan& plan : plans_) write(plan);
    if (!target.rope_factors.empty()) write_values(target.rope_factors);
    finish_writing();
    writer_.commit();
    report_.type = types_.type();
    report_.note = types_.message();
    return report_;
  }

 private:
  void declare(const GgufTarget& target) {
    const std::map<std::string, int32_t> interleave(target.interleave.begin(), target.interleave.end());
    for (size_t i = 0; i < target.names.size();) {
      const auto& [name, gguf] = target.names[i];
      std::vector<Part> parts;
      for (; i < target.names.size() && target.names[i].second == gguf; ++i)
        parts.push_back(find_part(source_, target.names[i].first));
      const auto heads = interleave.find(name);
      plans_.push_back(plan_tensor(std::move(parts), name, gguf, heads == interleave.end() ? 0 : heads->second, types_));
      const Plan& plan = plans_.back();
      writer_.declare(plan.name, plan.to->stored, shape_in_file(plan));
      if (has_second_scale(plan)) writer_.declare(scale_name(plan), TensorType::f32, {matrices_in(plan)});
      ++report_.tensors;
      for (const Part& part : plan.parts) {
        report_.parameters += part.shape.elements();
        report_.source_bytes += part.bytes;
        report_.bytes += plan.rows * plan.stride;
      }
    }
    if (!target.rope_factors.empty())
      writer_.declare("rope_freqs.weight", TensorType::f32, {int64_t(target.rope_factors.size())});
  }

  // GGUF has types for what inputs are rounded to, which engines compute with but read no weights of.
  void note_own_types() {
    for (const std::string_view type : {"q8_k", "q8_1"})
      if (std::ranges::any_of(plans_, [&](const Plan& plan) { return plan.to->name == type; }))
        types_.note(fmt::format(
            "{} is a type that other engines do not read weights of: the file is for Gale alone; all read q8_0", type));
  }

  void write(const Plan& plan) {
    scales_.clear();
    const int64_t chunk = std::max<int64_t>(1, kChunkBytes / plan.stride);
    for (const Part& part : plan.parts) {
      if (part.shape.rank() < 2) {
        write_values(make_vector(plan));
      } else {
        const Matrices matrices = matrices_of(plan, part);
        for (int64_t first = 0; first < plan.rows; first += chunk)
          write_chunk(plan, part, matrices, first, std::min(plan.rows, first + chunk));
      }
      done_ += part.bytes;
      if (progress_) progress_(done_, report_.source_bytes);
    }
    if (has_second_scale(plan)) write_values(scales_);
  }

  Matrices matrices_of(const Plan& plan, const Part& part) {
    if (copied(plan, part)) return {{}};
    if (joined(plan, part)) return joined_matrices(plan, part);
    if (part.from->name != plan.to->name) types_.requantizes(part.group, *plan.to);
    const int64_t matrices = part.shape.rank() == 3 ? part.shape[0] : 1;
    std::string_view name = part.group.name;
    if (name.ends_with(".weight")) name.remove_suffix(7);
    Matrices out;
    for (int64_t i = 0; i < matrices; ++i) {
      out.push_back({types_.importance(name, part.shape.rank() == 3 ? i : -1, plan.columns, *plan.to)});
      if (has_second_scale(plan))
        out.back().second =
            SecondScale::of(*plan.to, plan.logical, largest_of(plan, part, i * plan.rows / matrices, plan.rows / matrices));
      scales_.push_back(out.back().second.value);
    }
    return out;
  }

  Matrices joined_matrices(const Plan& plan, const Part& part) {
    const std::vector<float> scales = has_second_scale(plan) ? joined_scales(plan, part) : std::vector<float>();
    scales_.insert(scales_.end(), scales.begin(), scales.end());
    return Matrices(1);
  }

  float largest_of(const Plan& plan, const Part& part, int64_t first, int64_t rows) {
    std::vector<float> of_row(static_cast<size_t>(rows));
    FirstError errors;
    pool_.for_each(rows, kRowsPerPiece, [&](int64_t begin, int64_t end) {
      errors.guard([&] {
        std::vector<float> values(size_t(plan.columns));
        for (int64_t i = begin; i < end; ++i) {
          part.from->dequantize(part.group, {first + i, 1, 0, plan.columns}, values.data());
          for (const float v : values) of_row[size_t(i)] = std::max(of_row[size_t(i)], std::fabs(v));
        }
      });
    });
    errors.rethrow();
    return std::ranges::max(of_row);
  }

  void write_chunk(const Plan& plan, const Part& part, const Matrices& matrices, int64_t first, int64_t last) {
    buffer_.resize(size_t((last - first) * plan.stride));
    FirstError errors;
    pool_.for_each(last - first, kRowsPerPiece, [&](int64_t begin, int64_t end) {
      errors.guard([&] {
        for (int64_t row = begin; row < end; row += kRowsPerPiece)
          make_rows(cpu_, plan, part, matrices, first + row, first + std::min(row + kRowsPerPiece, end),
                    buffer_.data() + row * plan.stride);
      });
    });
    errors.rethrow();
    write_buffer();
  }

  void write_values(std::span<const float> values) {
    const auto bytes = std::as_bytes(values);
    buffer_.assign(bytes.begin(), bytes.end());
    write_buffer();
  }

  // In the background, while the next part of the file is made.
  void write_buffer() {
    finish_writing();
    std::swap(buffer_, written_);
    writing_ = std::async(std::launch::async, [this] { writer_.data(written_); });
  }
  void finish_writing() {
    if (writing_.valid()) writing_.get();
  }

  const Checkpoint& source_;
  WeightPlan types_;
  const bool calibrated_;
  GgufWriter writer_;
  ThreadPool& pool_;
  const CpuKernels& cpu_ = cpu_kernels(isa_to_run(detect_cpu()));
  const ExportProgress& progress_;
  std::vector<Plan> plans_;
  std::vector<std::byte> buffer_, written_;
  std::vector<float> scales_;  // of the matrices of a tensor
  ExportReport report_;
  int64_t done_ = 0;
  std::future<void> writing_;  // of written_; last, so that it has ended before anything else goes
};

}  // namespace

ExportReport export_gguf(const Checkpoint& source, const QuantRecipe& recipe, const std::filesystem::path& output,
                         ThreadPool& pool, const ExportProgress& progress) {
  if (source.packed() != nullptr) check_arrangement(source);
  return Exporter(source, recipe, output, pool, progress).run();
}

ExportReport quantize_model(const std::string& source, const QuantRecipe& recipe, const std::filesystem::path& output,
                            int threads, const ExportProgress& progress) {
  const QuantRecipe read = recipe.read();
  if (is_random_model(source)) resolve_auto(recipe, source, nullptr);  // refused before weights are made
  ThreadPool pool(choose_threads(threads));
  const auto checkpoint = open_model(source, recipe.type, pool);
  recipe.check_output(*checkpoint, output);
  return export_gguf(*checkpoint, resolve_auto(read, source, checkpoint), output, pool, progress);
}

}  // namespace gale
