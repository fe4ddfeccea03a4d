/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/bench/bench_options.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/bench/bench.h"
#include "vmm/bench/contenders.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/options.h"

#define RUNS_MAX 100000
#define AT_ONCE_MAX 1000
#define NAME_MAX_LENGTH 63
#define DEFAULT_BUDGET (512ull << 20)

static int set_count(void *target, const struct option_row *row, const char *value,
                     struct error *error)
{
    struct bench_options *options = target;
    bool is_runs = strcmp(row->name, "runs") == 0;
    uint64_t number;
    int result = options_number(row->name, value, 1, is_runs ? RUNS_MAX : AT_ONCE_MAX, &number,
                                error);

    if (result == 0)
        *(is_runs ? &options->runs : &options->at_once) = (unsigned int)number;
    return result;
}

static int add_path(void *target, const struct option_row *row, const char *value,
                    struct error *error)
{
    struct bench_options *options = target;

    if (access(value, X_OK) < 0)
        return error_set(error, errno, "--%s %s: %s; name a program that you may run", row->name,
                         value, strerror(errno));
    /* The rows are fewer than places, but one may come again and again. */
    for (size_t i = 0; i < options->path_count; i++)
        if (strcmp(options->paths[i].option, row->name) == 0) {
            options->paths[i].path = value;
            return 0;
        }
    if (options->path_count == BENCH_PATHS_MAX)
        return error_set(error, E2BIG, "--%s: over %d paths", row->name, BENCH_PATHS_MAX);
    options->paths[options->path_count++] = (struct contender_path){ row->name, value };
    return 0;
}

#define FIELD(name) .offset = offsetof(struct bench_options, name)
#define PROGRAM(NAME) { NULL, NAME, "PATH", "the program, where it is not in $PATH", add_path }

static const struct option_row rows[] = {
    { "How much", "quick", NULL, "end within a minute", option_set_flag, FIELD(quick) },
    { NULL, "runs", "N", "measured starts of each (default: 20)", set_count },
    { NULL, "at-once", "N", "besides, one burst of N by the axis at-once", set_count },
    { NULL, "only", "NAME,...", "these contenders alone; --list names all", option_set_text,
      FIELD(only) },
    { NULL, "axes", "NAME,...", "of start, cold, at-once, rate, memory, density,\nblock, "
      "network (default: all; --quick has start,\nat-once, rate, memory)", option_set_text, FIELD(axes) },
    { NULL, "memory-budget", "SIZE", "for the density axis (default: 512M)", option_set_size,
      FIELD(memory_budget) },
    { NULL, "list", NULL, "tell which contenders are here, and their commands", option_set_flag,
      FIELD(list) },
    { "What is started", "rootfs", "DIR", "the root is a copy of it (default: the job alone)",
      option_set_text, FIELD(rootfs) },
    { NULL, "kernel", "FILE", "in place of Mote's own", option_set_text, FIELD(kernel) },
    { NULL, "stock-kernel", "FILE", "for the contenders with a stock kernel (default:\nthe newest "
      "of /boot, if Mote's own is not here)", option_set_text, FIELD(stock_kernel) },
    { "Where it is", "firecracker", "PATH", "the program, where it is not in $PATH", add_path },
    PROGRAM("cloud-hypervisor"), PROGRAM("kvmtool"), PROGRAM("qemu"), PROGRAM("crun"),
    PROGRAM("runc"), PROGRAM("runsc"), PROGRAM("podman"), PROGRAM("bubblewrap"),
    PROGRAM("systemd-nspawn"),
    { "Reports", "json", NULL, "JSON on standard output, with all samples", option_set_flag,
      FIELD(json) },
    { NULL, "csv", NULL, "CSV on standard output", option_set_flag, FIELD(csv) },
    { NULL, "html", "FILE", "one page with charts, besides", option_set_text, FIELD(html) },
};

static const struct option_table table = {
    .usage = "mote bench [OPTION]...",
    .summary = "Starts the same job under Mote, other monitors, containers and as a bare process,\n"
               "whatever of these is here, in random order, and compares: start time, many at once,\n"
               "starts per second, memory of idle ones, how many fit into a budget,\n"
               "a disk's and the network's speed.",
    .examples = "  mote bench --quick\n"
                "  mote bench --runs 100 --html bench.html\n"
                "  mote bench --only mote,crun,podman --axes start,memory\n"
                "  mote bench --only mote-boot,firecracker --firecracker ~/firecracker --json\n",
    .rows = rows,
    .count = ARRAY_LENGTH(rows),
};

static bool is_in(const char *list, const char *name, size_t length)
{
    for (const char *at = list; *at; at += strcspn(at, ","), at += *at == ',')
        if (strcspn(at, ",") == length && strncmp(at, name, length) == 0)
            return true;
    return false;
}

bool bench_list_has(const char *list, const char *name)
{
    return !list || is_in(list, name, strlen(name));
}

const char *bench_options_path(const struct bench_options *options, const char *option)
{
    for (size_t i = 0; option && i < options->path_count; i++)
        if (strcmp(options->paths[i].option, option) == 0)
            return options->paths[i].path;
    return NULL;
}

static const char *contender_name(const void *context, size_t index)
{
    return ((const struct contender *)context)[index].name;
}

static const char *axis_name(const void *context, size_t index)
{
    return ((const struct axis *)context)[index].name;
}

/* Every name in LIST is one of the candidates. */
static int check_list(const char *option, const char *list,
                      const char *(*candidate)(const void *, size_t), const void *context,
                      size_t count, struct error *error)
{
    if (list && !list[strspn(list, ",")])
        return error_set(error, EINVAL, "--%s: names nothing; give at least one", option);
    for (const char *at = list ? list + strspn(list, ",") : ""; *at;
         at += strcspn(at, ","), at += strspn(at, ",")) {
        char name[NAME_MAX_LENGTH + 1];
        const char *nearest;
        bool known = false;

        snprintf(name, sizeof(name), "%.*s", (int)strcspn(at, ","), at);
        for (size_t i = 0; i < count; i++)
            known = known || strcmp(candidate(context, i), name) == 0;
        if (known)
            continue;
        nearest = options_nearest(name, candidate, context, count);
        if (nearest)
            return error_set(error, EINVAL, "--%s %s: is unknown; did you mean '%s'?", option,
                             name, nearest);
        return error_set(error, EINVAL, "--%s %s: is unknown; 'mote bench --help' and --list tell "
                         "the names", option, name);
    }
    return 0;
}

static int check(const struct bench_options *options, struct error *error)
{
    size_t contender_count, axis_count;
    const struct contender *all = contenders(&contender_count);
    const struct axis *axes = bench_axes(&axis_count);
    struct stat status;
    int result = check_list("only", options->only, contender_name, all, contender_count, error);

    if (result == 0)
        result = check_list("axes", options->axes, axis_name, axes, axis_count, error);
    if (result < 0)
        return result;
    if (options->json && options->csv)
        return error_set(error, EINVAL, "--json and --csv exclude each other; give one");
    if (options->rootfs && (stat(options->rootfs, &status) < 0 || !S_ISDIR(status.st_mode)))
        return error_set(error, ENOTDIR, "--rootfs %s: is no directory; name one that the root is "
                         "to be a copy of", options->rootfs);
    if (options->html && stat(options->html, &status) == 0 && S_ISDIR(status.st_mode))
        return error_set(error, EISDIR, "--html %s: is a directory; name a file", options->html);
    if (options->memory_budget == 0)
        return error_set(error, EINVAL, "--memory-budget: is nothing; give more");
    return 0;
}

int bench_options_parse(struct bench_options *options, int argc, char **argv, bool *helped,
                        struct error *error)
{
    int result;

    *options = (struct bench_options){ .memory_budget = DEFAULT_BUDGET };
    result = options_parse(&table, options, argc, argv, helped, error);
    return result < 0 || *helped ? result : check(options, error);
}
