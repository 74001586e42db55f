#pragma once
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

#include "gale/error.h"

namespace gale::test {

/// A folder of its own for each test, removed at the end.
class TempDir {
 public:
  TempDir() {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    path_ = std::filesystem::temp_directory_path() /
            (std::string("gale-") + info->test_suite_name() + "-" + info->name() + "-" + std::to_string(::getpid()));
    std::filesystem::create_directories(path_);
  }
  ~TempDir() { std::filesystem::remove_all(path_); }
  std::filesystem::path operator/(std::string_view name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }
  void write(std::string_view name, std::string_view text) const { std::ofstream(path_ / name, std::ios::binary) << text; }

 private:
  std::filesystem::path path_;
};

/// Little-endian bytes by hand, so that tests do not trust the writer under test.
class Bytes {
 public:
  template <class T>
  Bytes& number(T value) {
    text_.append(reinterpret_cast<const char*>(&value), sizeof(T));
    return *this;
  }
  Bytes& u8(uint64_t v) { return number(uint8_t(v)); }
  Bytes& u32(uint64_t v) { return number(uint32_t(v)); }
  Bytes& u64(uint64_t v) { return number(v); }
  Bytes& f32(double v) { return number(float(v)); }
  Bytes& raw(std::string_view text) {
    text_ += text;
    return *this;
  }
  Bytes& string(std::string_view text) { return u64(text.size()).raw(text); }
  Bytes& pad(size_t step) {
    text_.resize((text_.size() + step - 1) / step * step);
    return *this;
  }
  const std::string& text() const { return text_; }
  size_t size() const { return text_.size(); }

 private:
  std::string text_;
};

/// A safetensors file: header and data.
inline std::string safetensors_bytes(std::string_view header, std::string_view data) {
  return Bytes().string(header).raw(data).text();
}

inline std::span<const std::byte> as_bytes(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }

/// The Error that `call` throws; fails the test where it throws none.
inline Error error_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "no error was thrown";
  return Error(ErrorCode::internal, "none");
}

inline void expect_error(ErrorCode code, std::string_view part, const std::function<void()>& call) {
  const Error error = error_of(call);
  EXPECT_EQ(error.code(), code) << error.what();
  EXPECT_NE(std::string_view(error.what()).find(part), std::string_view::npos) << "'" << part << "' is not in: " << error.what();
}

}  // namespace gale::test
