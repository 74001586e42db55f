#include "quant/imatrix.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "base/file.h"
#include "gale/error.h"

namespace gale {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Imatrix : public ::testing::Test {
 protected:
  Imatrix() {
    std::string name = (std::filesystem::temp_directory_path() / "gale-imatrix-XXXXXX").string();
    folder_ = mkdtemp(name.data());
  }
  ~Imatrix() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  std::filesystem::path file(const std::string& name, const std::string& bytes) const {
    AtomicFile out(folder_ / name);
    out.write(bytes);
    out.commit();
    return folder_ / name;
  }
  void expect_corrupt(const std::filesystem::path& path, const std::string& part) {
    try {
      read_imatrix(path);
      ADD_FAILURE() << "expected an error with: " << part;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::corrupt) << e.what();
      EXPECT_THAT(e.what(), HasSubstr(part));
    }
  }
  std::filesystem::path folder_;
};

template <class T>
std::string bytes_of(T value) {
  std::string out(sizeof value, '\0');
  std::memcpy(out.data(), &value, sizeof value);
  return out;
}

std::string floats(std::initializer_list<float> values) {
  std::string out;
  for (const float x : values) out += bytes_of(x);
  return out;
}

ImportanceMatrix example() {
  ImportanceMatrix out;
  out.entries["blk.0.attn_q.weight"] = {{8, 4, 2}, {2}, 3};
  out.entries["blk.0.ffn_up_exps.weight"] = {{1, 2, 3, 0, 0, 0, 30, 20, 10}, {1, 0, 10}, 3};
  out.datasets = {"wiki.txt"};
  out.chunks = 3;
  out.chunk_tokens = 512;
  return out;
}

TEST_F(Imatrix, MeansOfEachMatrix) {
  const ImportanceMatrix m = example();
  EXPECT_THAT(m.means("blk.0.attn_q.weight", {}, 3), ElementsAre(4, 2, 1));
  EXPECT_THAT(m.means("blk.0.ffn_up_exps.weight", 0, 3), ElementsAre(1, 2, 3));
  EXPECT_THAT(m.means("blk.0.ffn_up_exps.weight", 1, 3), IsEmpty()) << "nothing was routed to it";
  EXPECT_THAT(m.means("blk.0.ffn_up_exps.weight", 2, 3), ElementsAre(3, 2, 1));
  EXPECT_THROW(m.means("blk.0.ffn_up_exps.weight", 3, 3), Error) << "more experts than it has";
  EXPECT_THROW(m.means("blk.0.ffn_up_exps.weight", {}, 9), Error) << "several matrices are not a wide one";
  EXPECT_THAT(m.means("blk.9.attn_q.weight", {}, 3), IsEmpty());
  EXPECT_THROW(m.means("blk.0.attn_q.weight", {}, 4), Error);
  EXPECT_THROW(m.means("blk.0.attn_q.weight", {}, 1), Error) << "a multiple is another model's too";
}

TEST_F(Imatrix, EveryKindOfFileGivesTheSameMeans) {
  const ImportanceMatrix m = example();
  for (const char* name : {"a.gguf", "a.dat", "a.imatrix", "a.cimatrix"}) {
    SCOPED_TRACE(name);
    write_imatrix(m, folder_ / name);
    const ImportanceMatrix back = read_imatrix(folder_ / name);
    ASSERT_EQ(back.entries.size(), 2u);
    EXPECT_EQ(back.means("blk.0.attn_q.weight", {}, 3), m.means("blk.0.attn_q.weight", {}, 3));
    for (int64_t e = 0; e < 3; ++e)
      EXPECT_EQ(back.means("blk.0.ffn_up_exps.weight", e, 3).size(), m.means("blk.0.ffn_up_exps.weight", e, 3).size());
  }
  const ImportanceMatrix gguf = read_imatrix(folder_ / "a.gguf");
  EXPECT_EQ(gguf.chunks, 3);
  EXPECT_EQ(gguf.chunk_tokens, 512);
  EXPECT_THAT(gguf.datasets, ElementsAre("wiki.txt"));
  EXPECT_THROW(write_imatrix(m, folder_ / "a.bin"), Error);
}

// Byte by byte as llama.cpp and mistral.rs lay them out.
TEST_F(Imatrix, KnownBytes) {
  const std::string name = "blk.0.attn_q.weight";
  const std::string entry = bytes_of(int32_t(name.size())) + name + bytes_of(int32_t(4)) + bytes_of(int32_t(2)) + floats({2, 6});
  const ImportanceMatrix old = read_imatrix(file("old.dat", bytes_of(int32_t(1)) + entry));
  EXPECT_THAT(old.means(name, {}, 2), ElementsAre(0.5f, 1.5f));
  const ImportanceMatrix dat =
      read_imatrix(file("new.dat", bytes_of(int32_t(1)) + entry + bytes_of(int32_t(7)) + bytes_of(int32_t(3)) + "abc"));
  EXPECT_EQ(dat.chunks, 7);
  EXPECT_THAT(dat.datasets, ElementsAre("abc"));
  const std::string module = "model.layers.0.self_attn.q_proj";
  const ImportanceMatrix other = read_imatrix(file(
      "c.cimatrix", bytes_of(uint64_t(1)) + bytes_of(uint64_t(module.size())) + module + bytes_of(uint64_t(2)) + floats({2, 6})));
  EXPECT_THAT(other.means(module, {}, 2), ElementsAre(2, 6));
}

TEST_F(Imatrix, BadFilesAreRefused) {
  expect_corrupt(file("a.dat", ""), "ends within the number of entries");
  expect_corrupt(file("a.dat", bytes_of(int32_t(0))), "has no entries");
  expect_corrupt(file("a.dat", bytes_of(int32_t(-1))), "is -1");
  expect_corrupt(file("a.dat", bytes_of(int32_t(1)) + bytes_of(int32_t(1 << 30)) + "x"), "ends within a name");
  const std::string head = bytes_of(int32_t(1)) + bytes_of(int32_t(1)) + "x" + bytes_of(int32_t(1));
  expect_corrupt(file("a.dat", head + bytes_of(int32_t(1 << 30)) + "x"), "values are announced");
  expect_corrupt(file("a.dat", head + bytes_of(int32_t(2)) + floats({1, -1})), "value 1 of x is -1");
  expect_corrupt(file("a.dat", head + bytes_of(int32_t(1)) + floats({std::numeric_limits<float>::infinity()})),
                 "value 0 of x is inf");
  expect_corrupt(file("a.cimatrix", bytes_of(~uint64_t(0)) + bytes_of(~uint64_t(0))), "ends within a name");
  ImportanceMatrix m = example();
  m.entries["blk.0.attn_q.weight"].counts = {};
  EXPECT_THROW(read_imatrix(folder_ / "none.gguf"), Error);
  const std::filesystem::path demo = std::filesystem::path(GALE_SOURCE_DIR) / "models/demo/gale-demo.gguf";
  expect_corrupt(demo, "no importance matrix");
}

// Any one byte of a file, or its end, may be wrong: a clear error or a matrix, nothing else.
TEST_F(Imatrix, DamageIsNeverWorseThanAnError) {
  for (const char* name : {"a.gguf", "a.dat", "a.cimatrix"}) {
    write_imatrix(example(), folder_ / name);
    const std::string whole = read_text(folder_ / name);
    for (size_t i = 0; i < whole.size(); ++i)
      for (const int change : {0x81}) {
        std::string damaged = whole;
        damaged[i] = char(damaged[i] ^ change);
        for (const std::string& bytes : {damaged, whole.substr(0, i)}) try {
            read_imatrix(file(std::string("b") + std::filesystem::path(name).extension().string(), bytes));
          } catch (const Error&) {
          }
      }
  }
}

}  // namespace
}  // namespace gale
