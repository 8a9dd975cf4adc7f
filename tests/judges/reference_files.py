"""Writes what DNN ONNX Profiler leaves on disk, as its own code would: reference_files.py MODEL.onnx VALUE DIR

Pickles of every protocol and array form, a log, tables of three generations, folders of halves made by onnx's own
extractor, and one pickle that would run a command.
"""
import json, os, pickle, sys
import numpy as np
import onnx
from onnx.utils import extract_model

model, value, folder = sys.argv[1:]
tensor = np.arange(12, dtype="float32").reshape(1, 3, 4) / 8
record = {"splitLayer": value, "execTime1": 0.25, "result": tensor, "tensorLength": 12, "unusedInputs": [], "tensorSaveTime": 0.004}
for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
    for form, result in {"array": tensor, "list": tensor.tolist(), "fortran": np.asfortranarray(tensor), "big": tensor.astype(">f8")}.items():
        with open(os.path.join(folder, f"results_{protocol}_{form}.txt"), "wb") as file:
            pickle.dump(record | {"result": result, "execTime1": np.float64(0.25)}, file, protocol=protocol)

class Evil:
    def __reduce__(self):
        return os.system, (f"touch {folder}/owned",)
with open(os.path.join(folder, "evil.txt"), "wb") as file:
    pickle.dump(record | {"result": Evil()}, file)
with open(os.path.join(folder, "output.txt"), "w") as file:
    print("Loading the model...\n{'not': 'json'}", file=file)
    print(json.dumps({"splitLayer": value, "execTime1": 0.25, "execTime2": 0.5, "result": [[0.1, float("nan")]], "tensorLength": 12, "tensorSaveTime": 0.004, "tensorLoadTime": 0.002}), file=file)
generations = {
    "oldest": "SplitLayer,Time1,Time2,Time3,Time4",
    "misspelt": "SplitLayer,1stInfTime,2ndInfTime,oscarJobTime,kubePodTime,tensorSaveTime,tensorLoadTime,tensorLenght,networkingTime",
    "last": "SplitLayer,1stInfTime,2ndInfTime,oscarJobTime,kubePodTime,tensorSaveTime,tensorLoadTime,tensorLength,networkingTime",
}
for name, header in generations.items():
    rest = len(header.split(",")) - 5
    with open(os.path.join(folder, f"time_table_{name}.csv"), "w") as file:
        for _ in range(2):
            print(header, file=file)
            print("NO_SPLIT,0.2,0,0,0" + ",0" * rest, file=file)
            print("NO_SPLIT,0,0.1,1.1,4" + ",0" * rest, file=file)
            print(f"{value},0.15,0.05,1.0,4" + ",12" * rest, file=file)

split = os.path.join(folder, "Model_SplittedModels", "split_1_on_" + value.replace("/", "-").replace(":", "_"))
os.makedirs(split)
graph = onnx.load(model).graph
inputs, outputs = [graph.input[0].name], [o.name for o in graph.output]
extract_model(model, os.path.join(split, "first_half.onnx"), inputs, [value])
extract_model(model, os.path.join(split, "second_half.onnx"), [value], outputs)
