/* The world around ESP-IDF's slot choice: flash in memory, images that are bootable or not.
 *
 * `esp_idf.py` cuts the functions that choose and load a slot out of a copy of ESP-IDF and writes them
 * to `types.inc` and `choice.inc`; nothing of ESP-IDF is kept here. One case a line on standard input:
 *
 *   ROWS ENTRY0 ENTRY1 BOOTABLE
 *
 * ROWS: names with commas; ENTRY: 32 bytes in hexadecimal; BOOTABLE: a 1 or 0 for each row. Row K of
 * the table starts at 0x10000 * (K + 1) and has 0x10000 bytes, `otadata` 0xe000 and 0x2000.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int esp_err_t;
#define ESP_OK 0
#define ESP_FAIL (-1)
#define ESP_ERR_NOT_FOUND 0x105
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define ESP_LOGD(...)
#define ESP_LOGI(...)
#define ESP_LOGW(...)
#define ESP_LOGE(...)
#define ESP_LOG_ATTR_STR(text) text
#define CONFIG_BOOTLOADER_OFFSET_IN_FLASH 0
#define CONFIG_PARTITION_TABLE_OFFSET 0x8000
#define FLASH_SECTOR_SIZE 0x1000
#define BOOTLOADER_BUILD 1
#define MOST_ROWS 32

#include "types.inc"

typedef struct {
    uint32_t start_addr;
} esp_image_metadata_t;

static uint8_t flash[0x10000];
static char names[MOST_ROWS][16];
static uint32_t starts[MOST_ROWS];
static bool bootable[MOST_ROWS];
static int rows;
static int loaded;
static char writes[1024];
static jmp_buf end_of_boot;
static bool ota_has_initial_contents;

static const void *bootloader_mmap(uint32_t offset, uint32_t size)
{
    return flash + offset;
}

static void bootloader_munmap(const void *mapping)
{
}

static esp_err_t bootloader_flash_erase_sector(uint32_t sector)
{
    memset(flash + sector * FLASH_SECTOR_SIZE, 0xff, FLASH_SECTOR_SIZE);
    return ESP_OK;
}

static esp_err_t bootloader_flash_write(uint32_t offset, void *from, uint32_t size, bool encrypted)
{
    memcpy(flash + offset, from, size);
    char *end = writes + strlen(writes);
    end += sprintf(end, "%s%d:", end == writes ? "" : ",", offset == 0xf000);
    for (uint32_t index = 0; index < size; index++) {
        end += sprintf(end, "%02x", ((uint8_t *)from)[index]);
    }
    return ESP_OK;
}

/* The ROM's function inverts the register before and after. */
static uint32_t esp_rom_crc32_le(uint32_t crc, const uint8_t *bytes, uint32_t length)
{
    crc = ~crc;
    while (length--) {
        crc ^= *bytes++;
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ (crc & 1 ? 0xedb88320u : 0);
        }
    }
    return ~crc;
}

static bool esp_efuse_is_flash_encryption_enabled(void)
{
    return false;
}

static esp_err_t bootloader_load_image(const esp_partition_pos_t *place, esp_image_metadata_t *image)
{
    image->start_addr = place->offset;
    for (int row = 0; row < rows; row++) {
        if (starts[row] == place->offset) {
            return bootable[row] ? ESP_OK : ESP_FAIL;
        }
    }
    return ESP_FAIL;
}

static void load_image(const esp_image_metadata_t *image)
{
    for (int row = 0; row < rows; row++) {
        if (starts[row] == image->start_addr) {
            loaded = row;
        }
    }
    longjmp(end_of_boot, 1);
}

static void bootloader_reset(void)
{
    loaded = -1;
    longjmp(end_of_boot, 1);
}

esp_err_t esp_partition_table_verify(const esp_partition_info_t *table, bool log, int *count)
{
    *count = rows;
    return ESP_OK;
}

#include "choice.inc"

static void read_entry(const char *text, uint8_t *to)
{
    for (int index = 0; index < 32; index++) {
        sscanf(text + 2 * index, "%2hhx", to + index);
    }
}

static void add_row(char *name, bool is_bootable)
{
    esp_partition_info_t row = { .magic = ESP_PARTITION_MAGIC };
    row.pos.offset = 0x10000u * (rows + 1);
    row.pos.size = 0x10000;
    if (!strcmp(name, "otadata")) {
        row.type = PART_TYPE_DATA;
        row.pos.offset = 0xe000;
        row.pos.size = 0x2000;
    } else if (!strcmp(name, "test")) {
        row.subtype = PART_SUBTYPE_TEST;
    } else if (strcmp(name, "factory")) {
        row.subtype = PART_SUBTYPE_OTA_FLAG + atoi(name + strlen("ota_"));
    }
    memcpy(flash + CONFIG_PARTITION_TABLE_OFFSET + rows * sizeof row, &row, sizeof row);
    strcpy(names[rows], name);
    starts[rows] = row.pos.offset;
    bootable[rows++] = is_bootable;
}

int main(void)
{
    char table[512], first[80], second[80], images[64];
    while (scanf("%511s %79s %79s %63s", table, first, second, images) == 4) {
        memset(flash, 0xff, sizeof flash);
        rows = 0;
        writes[0] = 0;
        ota_has_initial_contents = false;
        for (char *name = strtok(table, ","); name; name = strtok(NULL, ",")) {
            add_row(name, images[rows] == '1');
        }
        read_entry(first, flash + 0xe000);
        read_entry(second, flash + 0xf000);
        static bootloader_state_t state;
        memset(&state, 0, sizeof state);
        if (!setjmp(end_of_boot)) {
            bootloader_utility_load_partition_table(&state);
            int index = bootloader_utility_get_selected_boot_partition(&state);
            bootloader_utility_load_boot_image(&state, index);
        }
        printf("%s %s\n", loaded < 0 ? "none" : names[loaded], writes[0] ? writes : "-");
    }
    return 0;
}
