/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/images/cache.h"

struct world {
    char path[32];
    struct cache cache;
    struct digest digest;
};

static int get(const struct cache *cache, const char *prefix, const struct digest *digest,
               struct cache_entry *entry, struct error *error)
{
    struct cache_name name = { prefix, *digest, false };

    return cache_get(cache, &name, 1, entry, error);
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    struct error error = ERROR_INIT;

    strcpy(world->path, "/tmp/mote-test-XXXXXX");
    world->digest = digest_of("x", 1);
    *state = world;
    return mkdtemp(world->path) ? cache_open(&world->cache, world->path, &error) : -1;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    char command[64];

    cache_close(&world->cache);
    snprintf(command, sizeof(command), "rm -rf %s", world->path);
    free(world);
    return system(command);
}

static int count_files(const struct world *world)
{
    char command[96];
    FILE *output;
    int count = -1;

    snprintf(command, sizeof(command), "ls -A %s/images | wc -l", world->path);
    output = popen(command, "r");
    if (fscanf(output, "%d", &count) != 1)
        count = -1;
    pclose(output);
    return count;
}

static void test_kept_and_found(void **state)
{
    struct world *world = *state;
    struct cache_entry entry;
    struct error error = ERROR_INIT;
    struct stat status;
    char *path;

    assert_int_equal(get(&world->cache, "sha256-", &world->digest, &entry, &error), 0);
    assert_true(entry.fd >= 0);
    assert_int_equal(write(entry.fd, "image", 5), 5);
    assert_int_equal(cache_keep(&entry, &error), 0);
    assert_int_equal(entry.fd, -1);
    path = cache_path(&entry);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0444);
    free(path);
    assert_int_equal(get(&world->cache, "sha256-", &world->digest, &entry, &error), 0);
    assert_int_equal(entry.fd, -1);
    assert_int_equal(count_files(world), 1);
    /* Another way to make it is another image. */
    assert_int_equal(get(&world->cache, "folder-", &world->digest, &entry, &error), 0);
    assert_true(entry.fd >= 0);
    cache_drop(&entry);
    assert_int_equal(count_files(world), 1);
}

/* The same layer, made for itself or for what is below it. */
static void test_two_names(void **state)
{
    struct world *world = *state;
    struct cache_name names[2] = { { "sha256-", world->digest, false },
                                   { "chain-", digest_of("chain", 5), false } };
    struct cache_entry entry;
    struct error error = ERROR_INIT;

    assert_int_equal(cache_get(&world->cache, names, 2, &entry, &error), 0);
    assert_int_equal(write(entry.fd, "image", 5), 5);
    entry.chosen = 1;
    assert_int_equal(cache_keep(&entry, &error), 0);
    assert_int_equal(cache_get(&world->cache, names, 2, &entry, &error), 0);
    assert_int_equal(entry.fd, -1);
    assert_int_equal(entry.chosen, 1);
    names[1].digest = digest_of("other", 5);
    assert_int_equal(cache_get(&world->cache, names, 2, &entry, &error), 0);
    assert_true(entry.fd >= 0);
    cache_drop(&entry);
    assert_int_equal(count_files(world), 1);
}

static void test_dropped_leaves_nothing(void **state)
{
    struct world *world = *state;
    struct cache_entry entry;
    struct error error = ERROR_INIT;

    assert_int_equal(get(&world->cache, "sha256-", &world->digest, &entry, &error), 0);
    assert_int_equal(write(entry.fd, "half", 4), 4);
    cache_drop(&entry);
    cache_drop(&entry);
    assert_int_equal(count_files(world), 0);
}

/* What a writer that was killed left is swept away, and never taken for an image. */
static void test_stale_temporaries_are_swept(void **state)
{
    struct world *world = *state;
    struct digest other = digest_of("other", 5);
    struct cache_entry entry;
    struct error error = ERROR_INIT;
    pid_t child = fork();
    int status;

    if (child == 0) {
        if (get(&world->cache, "sha256-", &world->digest, &entry, &error) < 0 ||
            write(entry.fd, "half", 4) != 4 || mkdirat(entry.parts, "deep", 0700) < 0 ||
            symlinkat("/etc", entry.parts, "deep/link") < 0 ||
            get(&world->cache, "sha256-", &other, &entry, &error) < 0)
            _exit(1);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(count_files(world), 4); /* locks, and folders of parts */
    assert_int_equal(get(&world->cache, "sha256-", &world->digest, &entry, &error), 0);
    assert_true(entry.fd >= 0);
    assert_int_equal(lseek(entry.fd, 0, SEEK_END), 0);
    assert_int_equal(count_files(world), 2);
    assert_int_equal(faccessat(entry.parts, "deep", F_OK, 0), -1);
    cache_drop(&entry);
    assert_int_equal(count_files(world), 0);
}

/* An image without its listing is not there; a listing without its image is swept. */
static void test_listings(void **state)
{
    struct world *world = *state;
    struct cache_name name = { "sha256-", world->digest, true };
    struct cache_entry entry;
    struct error error = ERROR_INIT;
    char *path, *listing;

    assert_int_equal(cache_get(&world->cache, &name, 1, &entry, &error), 0);
    assert_int_equal(write(entry.fd, "image", 5), 5);
    assert_int_equal(write(entry.listing, "list", 4), 4);
    assert_int_equal(cache_keep(&entry, &error), 0);
    path = cache_path(&entry);
    listing = cache_listing_path(path);
    assert_int_equal(count_files(world), 2);
    assert_int_equal(cache_get(&world->cache, &name, 1, &entry, &error), 0);
    assert_int_equal(entry.fd, -1);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(get(&world->cache, "folder-", &world->digest, &entry, &error), 0);
    assert_int_equal(access(listing, F_OK), -1);
    assert_int_equal(entry.listing, -1);
    cache_drop(&entry);
    assert_int_equal(count_files(world), 0);
    assert_int_equal(get(&world->cache, "sha256-", &world->digest, &entry, &error), 0);
    assert_int_equal(write(entry.fd, "image", 5), 5);
    assert_int_equal(cache_keep(&entry, &error), 0);
    assert_int_equal(cache_get(&world->cache, &name, 1, &entry, &error), 0);
    assert_true(entry.fd >= 0);
    cache_drop(&entry);
    free(path);
    free(listing);
}

/* Of many that want the same at once, one makes it. */
static void test_made_once(void **state)
{
    struct world *world = *state;
    int made = 0, pipe_fds[2];
    char byte;

    assert_int_equal(pipe(pipe_fds), 0);
    for (int i = 0; i < 8; i++)
        if (fork() == 0) {
            struct cache_entry entry;
            struct error error = ERROR_INIT;
            struct cache cache;

            if (cache_open(&cache, world->path, &error) < 0 ||
                get(&cache, "sha256-", &world->digest, &entry, &error) < 0)
                _exit(1);
            if (entry.fd < 0)
                _exit(0);
            usleep(50000);
            if (write(entry.fd, "image", 5) != 5 || write(pipe_fds[1], "m", 1) != 1 ||
                cache_keep(&entry, &error) < 0)
                _exit(1);
            _exit(0);
        }
    for (int i = 0; i < 8; i++) {
        int status;

        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    close(pipe_fds[1]);
    while (read(pipe_fds[0], &byte, 1) == 1)
        made++;
    close(pipe_fds[0]);
    assert_int_equal(made, 1);
    assert_int_equal(count_files(world), 1);
}

/* The waiter makes it itself when the one before fails. */
static void test_after_a_failure(void **state)
{
    struct world *world = *state;
    struct cache_entry entry;
    struct error error = ERROR_INIT;
    pid_t child;
    int status;

    assert_int_equal(get(&world->cache, "sha256-", &world->digest, &entry, &error), 0);
    child = fork();
    if (child == 0) {
        struct cache cache;
        struct cache_entry mine;

        close(entry.lock); /* the lock is the open file's, which the child has too */
        if (cache_open(&cache, world->path, &error) < 0 ||
            get(&cache, "sha256-", &world->digest, &mine, &error) < 0 || mine.fd < 0 ||
            write(mine.fd, "image", 5) != 5 || cache_keep(&mine, &error) < 0)
            _exit(1);
        _exit(0);
    }
    usleep(50000);
    cache_drop(&entry);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(count_files(world), 1);
}

/* Who can write there could put images there that nobody made. */
static void test_a_folder_of_others_is_refused(void **state)
{
    struct world *world = *state;
    struct error error = ERROR_INIT;
    struct cache cache;
    char path[64];

    snprintf(path, sizeof(path), "%s/images", world->path);
    assert_int_equal(chmod(path, 0770), 0);
    assert_int_equal(cache_open(&cache, world->path, &error), -EPERM);
    assert_non_null(strstr(error.message, "other users can write there"));
    cache_close(&cache);
}

static void test_no_folder(void **state)
{
    struct error error = ERROR_INIT;
    struct cache cache;

    (void)state;
    assert_true(cache_open(&cache, "/dev/null/x", &error) < 0);
    assert_non_null(strstr(error.message, "cache /dev/null/x"));
    cache_close(&cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_kept_and_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_two_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_dropped_leaves_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_stale_temporaries_are_swept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_listings, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_made_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_after_a_failure, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_folder_of_others_is_refused, set_up, tear_down),
        cmocka_unit_test(test_no_folder),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
