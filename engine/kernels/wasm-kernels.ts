import { readFileSync } from 'node:fs';
import { kernelFile } from '../artifacts.ts';
import type { Dtype, Kernels } from './kernels.ts';

const modules = new Map<Dtype, WebAssembly.Module>();

/** The compiled kernels of a data type; compiled once a process, shared with the workers by message. */
export function wasmModule(dtype: Dtype): WebAssembly.Module {
  let module = modules.get(dtype);
  if (!module) {
    module = new WebAssembly.Module(readFileSync(kernelFile(dtype === 'float32' ? 'f32' : 'f64')));
    modules.set(dtype, module);
  }
  return module;
}

/** The kernels at work on a memory. */
export function wasmKernels(module: WebAssembly.Module, memory: WebAssembly.Memory): Kernels {
  return new WebAssembly.Instance(module, { env: { memory } }).exports as unknown as Kernels;
}
