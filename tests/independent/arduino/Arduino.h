// Stand-ins for what the sketch of docs/guide/arduino.md uses of the Arduino core and of ESP-IDF, so that a
// compiler can read it where the core cannot be had. Names and types are as those of the core, as far as the
// sketch touches them; there is nothing behind them.
#pragma once

#include <cstddef>
#include <cstdint>

class String {
public:
  String(const char *text = "");
  bool isEmpty() const;
  const char *c_str() const;
};

struct HardwareSerial {
  void begin(unsigned long);
  void println(const char *);
  void printf(const char *, ...) __attribute__((format(printf, 2, 3)));
};
extern HardwareSerial Serial;

unsigned long millis();
void configTime(long offset, int daylight, const char *server);

class Stream {};
class WiFiClient : public Stream {};
class WiFiClientSecure : public WiFiClient {
public:
  void setCACert(const char *);
};

typedef enum { WL_CONNECTED = 3 } wl_status_t;
struct WiFiClass {
  wl_status_t begin(const char *ssid, const char *passphrase);
  wl_status_t status();
};
extern WiFiClass WiFi;

enum { HTTP_CODE_OK = 200, HTTP_CODE_NOT_MODIFIED = 304 };
class HTTPClient {
public:
  bool begin(WiFiClient &, String url);
  void end();
  void useHTTP10(bool = true);
  void collectHeaders(const char *keys[], const size_t count);
  void addHeader(const String &name, const String &value, bool first = false, bool replace = true);
  int GET();
  int getSize();
  String header(const char *name);
  WiFiClient &getStream();
};

class UpdateClass {
public:
  bool begin(size_t size);
  size_t writeStream(Stream &);
  bool end(bool evenIfRemaining = false);
  void abort();
  const char *errorString();
};
extern UpdateClass Update;

class Preferences {
public:
  bool begin(const char *name, bool readOnly = false);
  void end();
  String getString(const char *key, String otherwise = String());
  size_t putString(const char *key, String value);
};

typedef int esp_err_t;
enum { ESP_OK = 0 };
typedef enum { ESP_OTA_IMG_NEW = 0, ESP_OTA_IMG_PENDING_VERIFY = 1 } esp_ota_img_states_t;
struct esp_partition_t;
extern "C" {
const esp_partition_t *esp_ota_get_running_partition(void);
esp_err_t esp_ota_get_state_partition(const esp_partition_t *, esp_ota_img_states_t *);
esp_err_t esp_ota_mark_app_valid_cancel_rollback(void);
void esp_restart(void) __attribute__((noreturn));
typedef struct esp_timer *esp_timer_handle_t;
typedef struct {
  void (*callback)(void *);
  void *arg;
  int dispatch_method;
  const char *name;
  bool skip_unhandled_events;
} esp_timer_create_args_t;
esp_err_t esp_timer_create(const esp_timer_create_args_t *, esp_timer_handle_t *);
esp_err_t esp_timer_start_once(esp_timer_handle_t, uint64_t microseconds);
esp_err_t esp_timer_stop(esp_timer_handle_t);
}
