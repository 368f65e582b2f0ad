/// \file The program tailor-farm. Private.
#pragma once

#include "tailor/console/console.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace tailor::launcher {

using console::Voice;

struct FarmArguments {
  std::filesystem::path model, db;
  std::vector<std::string> shapes;
  std::string share = "100", time = "10m", searcher = "model", gain = "0.2%", silence = "5m";
  std::string shard;  // "3/16"; "": ranks of MPI
  int jobs = 1, threads = 0, samples = 5,
      trials = 0;  // threads 0: the cores of this machine; trials 0: no limit
  std::uint64_t seed = 1;
  bool no_library = false;
  std::string onednn;  // file of the library; "": as the system finds it
};

/// Understands the command line. False if it was --help, which is printed.
/// @throws Error usage, unknown_name, bad_value
bool read_arguments(int count, char** words, Voice& voice, FarmArguments& arguments);

/// A shard of the work in this process. Returns the exit code. @throws Error
int run_shard(const Voice& voice, const FarmArguments& arguments);
/// This rank's part of a job that mpirun started: the master's or a worker's. Returns the exit code; errors of the first
/// rank end all others. @throws Error runtime_missing (built without MPI), usage (one rank alone)
int run_ranks(const Voice& voice, const FarmArguments& arguments);

}  // namespace tailor::launcher
