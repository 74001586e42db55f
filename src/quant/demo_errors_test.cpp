#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <sstream>

#include "quant/test_weights.h"

// What quantizing errs on matrices of the bundled model, a trained one, against what other projects' own quantizers err on them:
// testdata/demo_errors.txt, by testdata/make_demo_errors.py.
namespace gale {
namespace {

constexpr double kNoMoreThan = 1.01;

struct Reference {
  std::string who;
  double plain = NAN, weighted = NAN;  ///< NaN: it makes none
};

std::map<std::string, Reference> references() {
  std::ifstream file(GALE_SOURCE_DIR "/src/quant/testdata/demo_errors.txt");
  std::map<std::string, Reference> out;
  for (std::string name, who, plain, weighted; file >> name >> who >> plain >> weighted;)
    out[name] = {who, plain == "-" ? NAN : std::stod(plain), weighted == "-" ? NAN : std::stod(weighted)};
  return out;
}

struct Matrix {
  std::string name;
  int64_t columns = 0;
  std::vector<float> values;
};

/// Those of make_demo_errors.py: one of each kind, from all layers.
std::vector<Matrix> matrices() {
  const auto model = Checkpoint::open(GALE_SOURCE_DIR "/models/demo/gale-demo.gguf");
  std::vector<Matrix> out;
  for (const char* name : {"0.self_attn.q_proj", "0.self_attn.k_proj", "1.self_attn.v_proj", "1.self_attn.o_proj",
                           "2.mlp.gate_proj", "2.mlp.up_proj", "3.mlp.down_proj"}) {
    Matrix& m = out.emplace_back(Matrix{"model.layers." + std::string(name), 0, {}});
    const TensorGroup group = group_of(*model, m.name);
    const Format& format = format_of(group);
    const auto [rows, columns] = format.shape(group);
    m.columns = columns;
    m.values.resize(size_t(rows * columns));
    format.dequantize(group, {0, rows, 0, columns}, m.values.data());
  }
  return out;
}

/// A few columns matter much.
std::vector<float> some_importance(int64_t columns) {
  std::vector<float> out;
  for (int64_t c = 0; c < columns; ++c) {
    const double u = double(c * 7919 % 1021) / 1021;
    out.push_back(float(0.01 + 4 * u * u * u * u));
  }
  return out;
}

/// As the engine makes them: over the scale of the whole matrix where the format wants one.
std::vector<float> rounded(const Format& format, const Matrix& m, const float* importance) {
  std::vector<float> over = m.values;
  float largest = 0;
  for (const float v : over) largest = std::max(largest, std::fabs(v));
  const SecondScale second = SecondScale::of(format, m.name, largest);
  second.take_off(over);
  std::vector<float> out = quant_test::round_trip(format, over, m.columns, importance);
  for (float& v : out) v *= second.value;
  return out;
}

double error(const Format& format, const std::vector<Matrix>& matrices, bool weighted) {
  double off = 0, size = 0;
  for (const Matrix& m : matrices) {
    const std::vector<float> importance = some_importance(m.columns);
    const std::vector<float> got = rounded(format, m, weighted ? importance.data() : nullptr);
    for (size_t i = 0; i < got.size(); ++i) {
      const double by = weighted ? double(importance[i % size_t(m.columns)]) : 1, e = double(got[i]) - double(m.values[i]);
      off += by * e * e, size += by * double(m.values[i]) * double(m.values[i]);
    }
  }
  return std::sqrt(off / size);
}

TEST(DemoErrors, AreNoLargerThanThoseOfTheReferenceQuantizers) {
  const auto all = references();
  const auto model = matrices();
  for (const Format* format : quant_test::made_formats()) {
    const auto found = all.find(std::string(format->name));
    if (found == all.end()) {
      ADD_FAILURE() << "no reference for " << format->name;
      continue;
    }
    const Reference& theirs = found->second;
    EXPECT_FALSE(std::isnan(theirs.plain) && std::isnan(theirs.weighted)) << format->name;
    for (const bool weighted : {false, true}) {
      const double most = weighted ? theirs.weighted : theirs.plain;
      if (std::isnan(most)) continue;
      const double ours = error(*format, model, weighted);
      EXPECT_LE(ours, kNoMoreThan * most) << format->name << (weighted ? ", weighted" : "") << ", against " << theirs.who;
      RecordProperty(std::string(format->name) + (weighted ? "_weighted" : ""), std::to_string(ours / most));
    }
  }
}

// The positive control: half a bit less is seen, and a weighted error where nothing was weighed.
TEST(DemoErrorsControl, CoarserFormatsErrMore) {
  const auto all = references();
  const auto model = matrices();
  for (const auto& [coarse, fine] :
       {std::pair("q4_0", "q4_1"), {"q4_1", "q4_k"}, {"nf4", "hqq4"}, {"fp4", "nf4"}, {"hqq3", "q3_k"}})
    EXPECT_GT(error(find_format(coarse), model, false), kNoMoreThan * all.at(fine).plain) << coarse << " as " << fine;
  for (const Matrix& m : model) {
    const Format& format = find_format("q4_k");
    const std::vector<float> importance = some_importance(m.columns);
    EXPECT_LT(quant_test::relative_error(rounded(format, m, importance.data()), m.values, &importance),
              0.95 * quant_test::relative_error(rounded(format, m, nullptr), m.values, &importance));
  }
}

}  // namespace
}  // namespace gale
