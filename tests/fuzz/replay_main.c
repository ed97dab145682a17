/* SPDX-License-Identifier: Apache-2.0 */

/*
 * replay_main - runs stored inputs through a fuzz target, without libFuzzer
 *
 * Arguments are files and directories (not descended into). Empty and prefix
 * inputs come for free: each file is also tried cut to a quarter and to a half.
 */

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/file.h"

#define INPUT_MAX (4 * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static size_t n_files;

/* An exact copy, so that a sanitizer sees the first byte read past the end. */
static void run_input(const char *data, size_t n)
{
	uint8_t *copy = malloc(n ? n : 1);

	if (!copy)
		abort();
	memcpy(copy, data, n);
	(void)LLVMFuzzerTestOneInput(copy, n);
	free(copy);
}

static int replay_file(const char *path)
{
	CLEANUP(free) char *data = NULL;
	size_t n = 0;
	int r = file_read(path, INPUT_MAX, &data, &n);

	if (r < 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(-r));
		return r;
	}
	run_input(data, 0);
	run_input(data, n / 4);
	run_input(data, n / 2);
	run_input(data, n);
	n_files++;
	return 0;
}

static int replay_directory(const char *path)
{
	char name[PATH_MAX];
	struct dirent *entry;
	DIR *dir = opendir(path);
	int r = 0;

	if (!dir) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return -1;
	}
	while (!r && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		if (snprintf(name, sizeof(name), "%s/%s", path, entry->d_name) >= PATH_MAX)
			continue;
		r = replay_file(name);
	}
	closedir(dir);
	return r;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		struct stat st;
		int r;

		if (stat(argv[i], &st) < 0) {
			fprintf(stderr, "%s: %s\n", argv[i], strerror(errno));
			return EXIT_FAILURE;
		}
		r = S_ISDIR(st.st_mode) ? replay_directory(argv[i]) : replay_file(argv[i]);
		if (r)
			return EXIT_FAILURE;
	}
	printf("%zu inputs\n", n_files);
	return n_files ? EXIT_SUCCESS : EXIT_FAILURE;
}
