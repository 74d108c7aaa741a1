// Files that exist whole or not at all, and their checksums.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace allreco::core {

inline constexpr std::uint64_t kLargestWholeFile = std::uint64_t{1} << 30;

/// The whole file. UserError naming it (and why) when it cannot be read, is no regular file (core/input_file.h) or has
/// more bytes than `max_bytes`.
std::string read_file(const std::filesystem::path& path, std::uint64_t max_bytes = kLargestWholeFile);

/// A name that a file gives for another one beside it. UserError unless it is one: not empty, no separator, not "..".
/// `where`: who names it.
void require_plain_name(const std::string& name, const std::string& where);

/// Copies a regular file of any size, synced; UserError when that fails. `shown`: the target for messages.
void copy_file(const std::filesystem::path& from, const std::filesystem::path& to, const std::string& shown);

/// Calls `write(temporary_path)`, then fsync(file), rename to `path`, fsync(directory). On any failure the temporary
/// file is removed, `path` stays as it was and the error is thrown (a full disk is a UserError that names the path).
void write_atomically(const std::filesystem::path& path,
                      const std::function<void(const std::filesystem::path&)>& write);

/// write_atomically of these bytes.
void write_file_atomically(const std::filesystem::path& path, std::string_view bytes);

/// fsync of a file or directory that exists; UserError when the file system says the data is not safe (EIO, ENOSPC).
void sync_path(const std::filesystem::path& path);

/// Lower-case hexadecimal SHA-256 (64 characters).
std::string sha256_of_file(const std::filesystem::path& path);
std::string sha256_of_bytes(std::string_view bytes);

/// Creates the directory and its parents; UserError when that fails.
void make_directory(const std::filesystem::path& path);

}  // namespace allreco::core
