/* SPDX-License-Identifier: Apache-2.0 */
/* Paths of layers that lead through links, of the layer itself and of those below; layers made into one. */
#include "tests/support/layer_bench.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include "vmm/images/layer_inherit.h"
#include "vmm/images/layer_merge.h"
#include "vmm/images/listing.h"

static void test_absolute_names(void **state)
{
    struct world *world = *state;

    add(world, '5', "/", NULL);
    add(world, '0', "/etc/new", "x");
    add(world, '1', "also", "/etc/new");
    add(world, '1', "/third", "//also");
    assert_int_equal(unpack(world), 0);
    assert_false(find(world, "")->implied);
    assert_ptr_equal(find(world, "also"), find(world, "etc/new"));
    assert_int_equal(find(world, "third")->users, 3);
}

/* As merged /usr, pnpm, and links to links have it; none leaves the root. */
static void test_links_of_the_layer(void **state)
{
    struct world *world = *state;

    add(world, '2', "lib", "usr/lib");
    add(world, '2', "deep/er", "/lib");
    add(world, '2', "up", "../../../up2");
    add(world, '2', "up2", "a/../b");
    add(world, '0', "lib/libx.so", "x");
    add(world, '0', "deep/er/liby.so", "x");
    add(world, '0', "up/file", "x");
    add(world, '0', "lib/.wh.gone", NULL);
    add(world, '1', "hard", "lib/libx.so");
    assert_int_equal(unpack(world), 0);
    assert_true(S_ISLNK(find(world, "lib")->mode));
    assert_non_null(find(world, "usr/lib/libx.so"));
    assert_non_null(find(world, "usr/lib/liby.so"));
    assert_non_null(find(world, "b/file"));
    assert_true(find(world, "usr/lib/gone")->whiteout);
    assert_ptr_equal(find(world, "hard"), find(world, "usr/lib/libx.so"));
}

/* A folder that is told replaces the link, as tar has it. */
static void test_a_folder_over_a_link(void **state)
{
    struct world *world = *state;

    add(world, '2', "lib", "usr/lib");
    add(world, '0', "lib/one", "x");
    add(world, '5', "lib", NULL);
    add(world, '0', "lib/two", "x");
    assert_int_equal(unpack(world), 0);
    assert_true(S_ISDIR(find(world, "lib")->mode));
    assert_non_null(find(world, "usr/lib/one"));
    assert_non_null(find(world, "lib/two"));
    assert_null(find(world, "lib/one"));
}

/* ---- above other layers ---- */

/* The world's archive becomes a layer below by its listing; the next begins. */
static void put_below(struct world *world, struct layer *lower)
{
    int fd = memfd_create("listing", 0);

    tar_end(&world->tar);
    assert_int_equal(unpack_open(world), 0);
    assert_int_equal(listing_write(&world->layer, fd, &world->error), 0);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_int_equal(layer_init(lower, &world->error), 0);
    assert_int_equal(listing_read(lower, fd, &world->error), 0);
    close(fd);
    layer_release(&world->layer);
    assert_int_equal(layer_init(&world->layer, &world->error), 0);
    free(world->tar.bytes);
    world->tar = (struct tar){ .bytes = NULL };
}

struct stack {
    struct layer layers[4];
    size_t count;
};

static int find_below(void *context, const struct file_node *folder, const char *name,
                      const struct file_inode **found, struct error *error)
{
    const struct stack *stack = context;

    return layer_find_below(stack->layers, stack->count, folder, name, found, error);
}

static void unpack_above(struct world *world, struct stack *stack)
{
    const struct layer_below below = { find_below, stack };

    world->layer.below = &below;
    assert_int_equal(unpack(world), 0);
    assert_true(layer_implies_folders(&world->layer));
}

static void release(struct stack *stack)
{
    while (stack->count > 0)
        layer_release(&stack->layers[--stack->count]);
}

static void test_links_below(void **state)
{
    struct world *world = *state;
    struct stack stack = { .count = 0 };

    add(world, '5', "usr/lib", NULL);
    add(world, '2', "lib", "usr/lib");
    add(world, '2', "gone", "usr");
    add(world, '2', "was/link", "/usr");
    put_below(world, &stack.layers[stack.count++]);
    add(world, '0', ".wh.gone", NULL);
    add(world, '5', "was", NULL);
    add(world, '0', "was/.wh..wh..opq", NULL);
    add(world, '2', "node_modules/a", ".pnpm/a@1/node_modules/a");
    put_below(world, &stack.layers[stack.count++]);
    add(world, '0', "lib/libx.so", "x");
    add(world, '0', "lib/.wh.old", NULL);
    add(world, '0', "node_modules/a/index.js", "x");
    add(world, '0', "gone/file", "x");
    add(world, '0', "was/link/file", "x");
    add(world, '1', "hard", "lib/libx.so");
    unpack_above(world, &stack);
    assert_null(find(world, "lib")); /* the link of the layer below stays to be seen */
    assert_non_null(find(world, "usr/lib/libx.so"));
    assert_true(find(world, "usr/lib/old")->whiteout);
    assert_non_null(find(world, "node_modules/.pnpm/a@1/node_modules/a/index.js"));
    assert_true(S_ISDIR(find(world, "gone")->mode));
    assert_true(S_ISDIR(find(world, "was/link")->mode));
    assert_ptr_equal(find(world, "hard"), find(world, "usr/lib/libx.so"));
    release(&stack);
}

/* What the layer itself says of a folder comes before the layers below. */
static void test_a_folder_of_its_own_above_a_link(void **state)
{
    struct world *world = *state;
    struct stack stack = { .count = 0 };

    add(world, '2', "told", "usr");
    add(world, '2', "hidden", "usr");
    add(world, '2', "opaque/link", "/usr");
    put_below(world, &stack.layers[stack.count++]);
    add(world, '5', "told", NULL);
    add(world, '0', "told/x", "x");
    add(world, '0', ".wh.hidden", NULL);
    add(world, '0', "hidden/x", "x");
    add(world, '0', "opaque/.wh..wh..opq", NULL);
    add(world, '0', "opaque/link/x", "x");
    unpack_above(world, &stack);
    assert_non_null(find(world, "told/x"));
    assert_non_null(find(world, "hidden/x"));
    assert_true(find(world, "hidden")->opaque);
    assert_non_null(find(world, "opaque/link/x"));
    assert_null(find(world, "usr"));
    release(&stack);
}

/* ---- two layers into one ---- */

static void test_merged_layers(void **state)
{
    struct world *world = *state;
    struct tar_entry tmp = { .name = "tmp", .type = '5', .mode = 01777 };
    struct layer lower;

    tar_add(&world->tar, &tmp);
    add(world, '0', "tmp/low", "x");
    add(world, '0', "replaced/low", "x");
    add(world, '0', "hidden/low", "x");
    add(world, '0', "opaque/low", "x");
    add(world, '0', "file", "lower");
    add(world, '0', "becomes", "a folder");
    add(world, '0', ".wh.base", NULL);
    tar_end(&world->tar);
    assert_int_equal(unpack_open(world), 0);
    lower = world->layer;
    assert_int_equal(layer_init(&world->layer, &world->error), 0);
    free(world->tar.bytes);
    world->tar = (struct tar){ .bytes = NULL };
    add(world, '0', "tmp/high", "x");
    add(world, '0', "replaced", "a file now");
    add(world, '0', ".wh.hidden", NULL);
    add(world, '0', "opaque/.wh..wh..opq", NULL);
    add(world, '0', "opaque/high", "x");
    add(world, '0', "file", "upper one");
    add(world, '0', "becomes/a", "x");
    add(world, '0', "base/a", "x");
    tar_end(&world->tar);
    assert_int_equal(unpack_open(world), 0);
    assert_int_equal(layer_merge(&lower, &world->layer, &world->error), 0);
    layer_release(&world->layer);
    world->layer = lower;
    assert_int_equal(find(world, "tmp")->mode, S_IFDIR | 01777); /* the upper archive told none */
    assert_non_null(find(world, "tmp/low"));
    assert_non_null(find(world, "tmp/high"));
    assert_int_equal(find(world, "replaced")->size, 10);
    assert_true(find(world, "hidden")->whiteout);
    assert_true(find(world, "opaque")->opaque);
    assert_null(find(world, "opaque/low"));
    assert_non_null(find(world, "opaque/high"));
    assert_int_equal(find(world, "file")->size, 9);
    assert_true(find(world, "becomes")->opaque && find(world, "base")->opaque);
    assert_true(layer_implies_folders(&world->layer));
    assert_int_equal(staging_tree(&world->staging, world->layer.tree.root, &world->error), 0);
}

static void test_merged_with_an_opaque_root(void **state)
{
    struct world *world = *state;
    struct layer lower;

    add(world, '0', "low", "x");
    tar_end(&world->tar);
    assert_int_equal(unpack_open(world), 0);
    lower = world->layer;
    assert_int_equal(layer_init(&world->layer, &world->error), 0);
    free(world->tar.bytes);
    world->tar = (struct tar){ .bytes = NULL };
    add(world, '0', ".wh..wh..opq", NULL);
    add(world, '0', "high", "x");
    tar_end(&world->tar);
    assert_int_equal(unpack_open(world), 0);
    assert_int_equal(layer_merge(&lower, &world->layer, &world->error), 0);
    layer_release(&world->layer);
    world->layer = lower;
    assert_null(find(world, "low"));
    assert_non_null(find(world, "high"));
    assert_true(find(world, "")->opaque);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_absolute_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_links_of_the_layer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_folder_over_a_link, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_links_below, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_folder_of_its_own_above_a_link, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_merged_layers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_merged_with_an_opaque_root, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
