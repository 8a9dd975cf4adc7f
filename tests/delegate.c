/* An external delegate of TensorFlow Lite with the two functions that libedgetpu.so.1 has, for a machine without an Edge TPU:
 * XNNPACK inside. What it is told and what is done with it goes, a line each, into the file that KERF_TEST_DELEGATE_LOG names.
 * With the option device=pci it says that there is no device, as libedgetpu does. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensorflow/lite/c/common.h"

/* delegates/xnnpack/xnnpack_delegate.h, which the package with the library leaves out; NULL means the defaults. */
TfLiteDelegate* TfLiteXNNPackDelegateCreate(const void* options);
void TfLiteXNNPackDelegateDelete(TfLiteDelegate* delegate);

static TfLiteStatus (*xnnpack_prepare)(TfLiteContext*, TfLiteDelegate*);

static void note(const char* what, const char* more) {
  const char* path = getenv("KERF_TEST_DELEGATE_LOG");
  FILE* file = path ? fopen(path, "a") : NULL;
  if (file) {
    fprintf(file, "%s%s\n", what, more);
    fclose(file);
  }
}

static TfLiteStatus prepare(TfLiteContext* context, TfLiteDelegate* delegate) {
  TfLiteIntArray* plan = NULL;
  char nodes[32];
  if (context->GetExecutionPlan(context, &plan) != kTfLiteOk) return kTfLiteError;
  snprintf(nodes, sizeof nodes, "%d", plan->size);
  note("prepare nodes=", nodes);
  return xnnpack_prepare(context, delegate);
}

TfLiteDelegate* tflite_plugin_create_delegate(char** keys, char** values, size_t count, void (*report)(const char*)) {
  for (size_t k = 0; k < count; k++) {
    note(keys[k], strcmp(values[k], "pci") ? "=other" : "=pci");
    if (!strcmp(keys[k], "device") && !strcmp(values[k], "pci")) {
      report("Failed to load delegate: no such device");
      return NULL;
    }
  }
  TfLiteDelegate* delegate = TfLiteXNNPackDelegateCreate(NULL);
  xnnpack_prepare = delegate->Prepare;
  delegate->Prepare = prepare;
  note("create", "");
  return delegate;
}

void tflite_plugin_destroy_delegate(TfLiteDelegate* delegate) {
  note("destroy", "");
  TfLiteXNNPackDelegateDelete(delegate);
}
